"""TF Serving over HTTP."""
