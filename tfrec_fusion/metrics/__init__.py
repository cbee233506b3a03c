"""Metrics computed from labels and scores alone."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ExpectedCalibrationError": "streaming_calibration",
        "GroupedAUC": "grouped_auc",
        "NormalisedEntropy": "streaming_entropy",
        "auc": "roc_auc",
        "expected_calibration_error": "calibration_error",
        "gauc": "grouped_auc",
        "grouped_auc_counts": "grouped_auc",
        "log_loss": "cross_entropy",
        "ndcg_of_lists": "list_ndcg",
        "normalised_entropy": "base_rate_entropy",
    },
)
