"""Converts between TF Serving's JSON and numpy arrays."""
