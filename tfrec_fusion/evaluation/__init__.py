"""Full-catalogue evaluation: protocol, slices, baselines, reports, explanations and plots."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "evaluate": "protocol",
        "Report": "report",
        "compare": "comparison",
        "explain": "explanation",
        "feature_coverage": "importance",
        "feature_importance": "importance",
        "plot": "figure",
        "paired_bootstrap": "bootstrap",
        "PairedDifference": "bootstrap",
        "RankingReport": "ranking_report",
        "default_baselines": "baselines",
        "evaluate_ranker": "ranking_report",
        "rolling_origins": "rolling",
        "RollingReport": "rolling_report",
        "Window": "window",
    },
)
