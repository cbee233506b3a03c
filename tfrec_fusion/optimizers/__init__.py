"""Optimizers for embedding tables, learning-rate schedules, and a lookup by name."""

from tfrec_fusion._compat import addons
from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "LazyAdam": "lazy_adam",
        "RowWiseAdagrad": "row_wise_adagrad",
        "TableOptimizer": "composite",
        "WarmupCosine": "warmup_cosine",
        "adam": "warm_adam",
        "for_tables": "tables",
        "resolve": "by_name",
    },
)
__all__ += ["addons"]
