"""Classic models, without gradients: what a deep one has to beat."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "EASE": "ease",
        "ItemKNN": "item_knn",
        "Popularity": "popularity",
        "RecentPopularity": "recent_popularity",
        "TextMean": "text_mean",
    },
)
