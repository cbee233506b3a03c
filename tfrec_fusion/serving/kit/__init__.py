"""What TF Serving wants beside a SavedModel: warm-up, batching, labels, monitoring, manifests."""
