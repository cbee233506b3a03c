"""Embedded server: serves exported versions with TF Serving's REST and gRPC interfaces."""
