"""Keras models that fuse item ids with precomputed vectors, and classic baselines."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AlphaRec": "alpha_rec",
        "AlphaRecConfig": "alpha_rec_config",
        "BACKBONES": "backbones.backbones",
        "Backbone": "backbones.backbone",
        "BinaryHead": "heads.binary_head",
        "CatalogueSoftmax": "objectives.catalogue",
        "CatalogueSquared": "objectives.catalogue",
        "ContentTower": "towers.content_tower",
        "DCNv2": "backbones.dcn_v2",
        "GraphSpec": "graph_spec",
        "Head": "heads.head",
        "HiddenInputs": "explained.hidden_inputs",
        "Model": "model",
        "ItemTower": "towers.item_tower",
        "OBJECTIVES": "objectives.catalogue",
        "Objective": "objectives.objective",
        "PairScorer": "explained.pair_scorer",
        "PooledHistory": "towers.pooled_history",
        "Ranker": "ranker",
        "RankerConfig": "ranker_config",
        "RankerFeatures": "ranker_features",
        "Targets": "objectives.targets",
        "TrendMatch": "towers.trend_match",
        "TwoTower": "two_tower",
        "TwoTowerConfig": "two_tower_config",
        "USER_TOWERS": "towers.user_towers",
        "UserTower": "towers.user_tower",
    },
    submodules=["classic"],
)
