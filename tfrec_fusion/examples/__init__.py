"""Builds datasets of training and validation examples from events."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BlockWindow": "windows",
        "Negatives": "negatives",
        "ParquetWindow": "parquet_windows",
        "as_of_examples": "as_of",
        "autoencoder_examples": "autoencoder",
        "distillation_examples": "distillation",
        "held_out_examples": "held_out",
        "joint_examples": "joint",
        "pair_examples": "pairs",
        "ranking_examples": "ranking",
        "sequence_examples": "sequences",
        "search_examples": "search",
    },
)
