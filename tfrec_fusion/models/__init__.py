"""Keras models that fuse ids and vectors, and the classic models beside them."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AlphaRec": "alpha_rec",
        "AlphaRecConfig": "alpha_rec_config",
        "ContentTower": "towers.content_tower",
        "GraphSpec": "graph_spec",
        "HiddenInputs": "explained.hidden_inputs",
        "Model": "model",
        "ItemTower": "towers.item_tower",
        "PairScorer": "explained.pair_scorer",
        "Ranker": "ranker",
        "RankerConfig": "ranker_config",
        "TwoTower": "two_tower",
        "TwoTowerConfig": "two_tower_config",
    },
    submodules=["classic"],
)
