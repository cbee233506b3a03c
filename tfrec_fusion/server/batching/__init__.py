"""Merges concurrent requests into one run of the model."""
