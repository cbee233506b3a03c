"""Normalised entropy: the log loss beside that of the base rate."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.metrics.checked_rows import checked_predictions
from tfrec_fusion.metrics.cross_entropy import row_losses


def normalised_entropy(
    labels: np.ndarray, predictions: np.ndarray, *, from_logits: bool = False
) -> float:
    """Computes the normalised entropy, the log loss over the entropy of the labels' mean.

    With q the mean label, it is `log_loss / (-q log q - (1 - q) log(1 - q))`: 1 for a model that
    predicts q for all, less for a better one, whatever the base rate. From He et al., "Practical
    Lessons from Predicting Clicks on Ads at Facebook" (ADKDD 2014).

    Args:
      labels, predictions, from_logits: see `log_loss`.

    Returns:
      A number of at least 0; NaN without rows, or if all labels are 0 or all are 1.

    Raises:
      InputError: as `log_loss`.

    Example:
      >>> normalised_entropy([1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25])
      1.0
    """
    labels, predictions = checked_predictions(
        "normalised_entropy", labels, predictions, from_logits
    )
    if not len(labels):
        return float("nan")
    loss = row_losses(labels, predictions, from_logits).mean()
    return float(over_base_rate(loss, labels.mean()))


def over_base_rate(loss, base) -> np.ndarray:
    """Divides log losses by the entropies of base rates; NaN where those are 0.

    Example:
      >>> round(float(over_base_rate(0.3466, 0.5)), 2)
      0.5
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -base * np.log(base) - (1 - base) * np.log1p(-base)
        return np.where(entropy > 0, loss / entropy, np.nan)
