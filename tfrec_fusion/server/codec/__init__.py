"""Between numpy arrays and what goes over the wire: TF Serving's JSON and its messages."""
