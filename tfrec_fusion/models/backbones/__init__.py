"""Networks over the features of a ranker."""
