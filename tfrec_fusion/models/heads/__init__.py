"""What a ranker predicts, and from which labels."""
