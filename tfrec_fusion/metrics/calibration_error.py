"""Expected calibration error: predicted probabilities against how often they come true."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import expit

from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.metrics.checked_rows import checked_predictions


def expected_calibration_error(
    labels: np.ndarray,
    predictions: np.ndarray,
    bins: int = 15,
    strategy: Literal["equal_width", "equal_count"] = "equal_width",
    *,
    from_logits: bool = False,
) -> float:
    """Computes the ECE, the mean distance of predicted probabilities and observed shares in bins.

    With n_b rows in bin b, their mean label y_b and mean probability p_b, it is
    `sum_b n_b / n |y_b - p_b|`. From Naeini et al., "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning" (AAAI 2015), with 15 bins as in Guo et al. (ICML 2017).

    Args:
      labels, predictions, from_logits: see `log_loss`.
      bins: number of bins.
      strategy: "equal_width" divides [0, 1] evenly, so that small probabilities share a bin;
        "equal_count" divides at the quantiles of the predictions, and equal predictions stay
        together.

    Returns:
      A number in [0, 1]; NaN without rows.

    Raises:
      InputError: as `log_loss`, `bins` is no whole number of 1 or more, or the strategy is unknown.

    Example:
      >>> round(expected_calibration_error([1, 0, 1, 1], [0.25, 0.25, 0.5, 0.5], bins=4), 4)
      0.375
    """
    check_whole_number("expected_calibration_error: bins", bins)
    if strategy not in ("equal_width", "equal_count"):
        raise InputError(
            "expected_calibration_error: strategy must be 'equal_width' or 'equal_count'. "
            f"Received: {strategy!r}"
        )
    labels, predictions = checked_predictions(
        "expected_calibration_error", labels, predictions, from_logits
    )
    if not len(labels):
        return float("nan")
    p = expit(predictions) if from_logits else predictions
    if strategy == "equal_width":
        bin_of = np.minimum((p * bins).astype(int), bins - 1)
    else:
        edges = np.quantile(p, np.arange(1, bins) / bins)
        bin_of = np.searchsorted(edges, p, side="right")
    return float(np.abs(np.bincount(bin_of, labels - p)).sum() / len(p))
