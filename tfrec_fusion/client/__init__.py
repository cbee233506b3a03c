"""Client for a running TF Serving or for the embedded server."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Client": "client",
    },
)
