"""Calibration of a ranker's probabilities."""
