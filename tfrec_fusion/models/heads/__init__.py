"""Prediction heads of a ranker."""
