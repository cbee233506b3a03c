"""Features and histories that a model may read, as of a given time."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "DataSpec": "spec",
        "ItemTrend": "item_trend",
        "RankerSpec": "ranker_spec",
        "State": "state",
    },
)
