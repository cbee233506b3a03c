"""A server in this process that answers as TF Serving does, from the same folders."""
