"""Scoring graphs of the models, for exports."""
