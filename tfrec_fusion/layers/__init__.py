"""Keras layers: id embeddings, frozen vectors, fusions and history features."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AdditiveFusion": "additive_fusion",
        "ConcatFusion": "concat_fusion",
        "CrossAttentionFusion": "cross_attention_fusion",
        "DeltaFusion": "delta_fusion",
        "DualViewFusion": "dual_view_fusion",
        "EventModulation": "event_modulation",
        "ExpertFusion": "expert_fusion",
        "FUSIONS": "fusions",
        "FilmFusion": "film_fusion",
        "FrozenVectors": "frozen_vectors",
        "Fusion": "fusion",
        "GateFusion": "gate_fusion",
        "HistoryMatch": "history_match",
        "HistoryPooling": "history_pooling",
        "HybridExpertFusion": "hybrid_expert_fusion",
        "IdEmbedding": "id_embedding",
        "NullSpaceFusion": "null_space_fusion",
        "PoolAverage": "pool_average",
        "PreNormAttention": "pre_norm_attention",
        "RepeatScore": "repeat_score",
        "SideFeatures": "side_features",
        "Standardise": "standardise",
        "SumFusion": "sum_fusion",
    },
)
