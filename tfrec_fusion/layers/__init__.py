"""Keras layers: id and frozen-vector inputs, fusion, history."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AdditiveFusion": "additive_fusion",
        "ConcatFusion": "concat_fusion",
        "FrozenVectors": "frozen_vectors",
        "Fusion": "fusion",
        "GateFusion": "gate_fusion",
        "HistoryMatch": "history_match",
        "HistoryPooling": "history_pooling",
        "IdEmbedding": "id_embedding",
        "PoolAverage": "pool_average",
        "SumFusion": "sum_fusion",
    },
)
