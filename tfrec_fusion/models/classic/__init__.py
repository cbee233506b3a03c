"""Classic models, trained without gradients: baselines for the deep models."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ClassicModel": "classic_model",
        "EASE": "ease",
        "EASEConfig": "ease",
        "FoldedFactors": "folded_factors",
        "IALS": "ials",
        "IALSConfig": "ials",
        "ItemItem": "item_item",
        "ItemKNN": "item_knn",
        "ItemKNNConfig": "item_knn",
        "ItemScores": "item_scores",
        "ItemVectors": "item_vectors",
        "LinearModel": "linear_model",
        "LinearOptions": "linear_options",
        "Options": "classic_model",
        "PersonalFrequency": "personal_frequency",
        "Popularity": "popularity",
        "RP3Beta": "rp3_beta",
        "RP3BetaConfig": "rp3_beta",
        "RecentPopularity": "recent_popularity",
        "RecentPopularityConfig": "recent_popularity",
        "SparseEASE": "sparse_ease",
        "SparseEASEConfig": "sparse_ease",
        "Spectral": "spectral",
        "SpectralConfig": "spectral",
        "SpectralOptions": "spectral",
        "TextMean": "text_mean",
        "TextMeanConfig": "text_mean",
        "UserKNN": "user_knn",
        "UserKNNConfig": "user_knn",
        "UserUser": "user_user",
    },
)
