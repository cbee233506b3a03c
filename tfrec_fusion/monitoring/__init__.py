"""Monitoring: drift and health of a served version, computed from logged requests."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Limits": "limits",
        "Report": "report",
        "as_requests": "request_log",
        "compare": "comparison",
        "read_requests": "request_log",
        "write_summaries": "tensorboard",
    },
)
