"""Training examples, made from events as of a cut in time."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BlockWindow": "windows",
        "Negatives": "negatives",
        "ParquetWindow": "parquet_windows",
        "as_of_examples": "as_of",
        "autoencoder_examples": "autoencoder",
        "held_out_examples": "held_out",
        "pair_examples": "pairs",
        "ranking_examples": "ranking",
    },
)
