"""Filters, business rules and rerankers for ranked lists."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Rules": "rules",
    },
)
