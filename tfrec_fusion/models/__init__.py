"""Keras models."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AlphaRec": "alpha_rec",
        "AlphaRecConfig": "alpha_rec_config",
        "ContentTower": "content_tower",
        "DataSpec": "data_spec",
        "GraphSpec": "graph_spec",
        "HiddenInputs": "hidden_inputs",
        "ItemTower": "item_tower",
        "PairScorer": "pair_scorer",
        "Ranker": "ranker",
        "RankerConfig": "ranker_config",
        "RankerSpec": "ranker_spec",
        "TwoTower": "two_tower",
        "TwoTowerConfig": "two_tower_config",
    },
)
