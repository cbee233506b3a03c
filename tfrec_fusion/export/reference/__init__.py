"""What a version was exported from: distributions that served requests are compared with."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Reference": "reference",
        "gini": "statistics",
        "psi": "statistics",
    },
)
