"""Reference distributions of a version, to compare served requests with."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Reference": "reference",
        "gini": "statistics",
        "psi": "statistics",
    },
)
