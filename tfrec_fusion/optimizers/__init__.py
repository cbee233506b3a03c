"""Optimizers and learning-rate schedules, by object or by name."""

from tfrec_fusion._compat import addons
from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "WarmupCosine": "warmup_cosine",
        "adam": "warm_adam",
        "resolve": "by_name",
    },
)
__all__ += ["addons"]
