"""Keras layers: id embeddings, frozen vectors, fusions and history features."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AdditiveFusion": "additive_fusion",
        "CausalAttention": "causal_attention",
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
        "HSTUBlock": "hstu_block",
        "HistoryMatch": "history_match",
        "HistoryPooling": "history_pooling",
        "HybridExpertFusion": "hybrid_expert_fusion",
        "IdEmbedding": "id_embedding",
        "InversePosition": "inverse_position",
        "LiGRBlock": "ligr_block",
        "NullSpaceFusion": "null_space_fusion",
        "PoolAverage": "pool_average",
        "PreNormAttention": "pre_norm_attention",
        "RelativeBias": "relative_bias",
        "RepeatScore": "repeat_score",
        "ResumableDropout": "resumable_dropout",
        "SASRecBlock": "sasrec_block",
        "SideFeatures": "side_features",
        "Standardise": "standardise",
        "SumFusion": "sum_fusion",
    },
)
