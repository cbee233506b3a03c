"""Baselines that a trained model has to beat, scored through the same `evaluate`."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "EASE": "linear",
        "ItemKNN": "item_knn",
        "Popularity": "popular",
        "RecentPopularity": "recent_popularity",
        "TextMean": "text_mean",
        "default_baselines": "defaults",
    },
)
