"""What a ranker makes of its features."""
