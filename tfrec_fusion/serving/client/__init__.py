"""Asking a running TF Serving."""
