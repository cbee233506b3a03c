"""Features and histories that a model may read, as of a given time."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Category": "kinds.category",
        "Cross": "kinds.cross",
        "DataSpec": "spec",
        "Feature": "kinds.feature",
        "Features": "declared",
        "ItemTrend": "item_trend",
        "Number": "kinds.number",
        "RowEncoder": "row_encoder",
        "SemanticId": "kinds.semantic_id",
        "Side": "side",
        "State": "state",
        "Tags": "kinds.tags",
        "Time": "kinds.times",
        "Vectors": "kinds.vectors",
    },
)
