"""Requests that wait at the same moment as one run of the model."""
