"""Interactions and catalogues, splits, vocabularies and training examples."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BlockWindow": "windows",
        "Catalogue": "catalogue",
        "History": "history",
        "Interactions": "interactions",
        "Negatives": "negatives",
        "ParquetWindow": "parquet_windows",
        "Split": "split",
        "Vocabulary": "vocabulary",
        "as_of_examples": "as_of",
        "autoencoder_examples": "autoencoder",
        "fetch_movielens": "movielens",
        "held_out_examples": "held_out",
        "pair_examples": "pairs",
        "rank_batches": "ranking_examples",
        "sample_folder": "samples",
    },
)
