"""What a model may look at: named, ordered, fitted on training rows, as of a time."""

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
