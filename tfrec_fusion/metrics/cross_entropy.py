"""Log loss: the cross entropy of labels and predicted probabilities."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.metrics.checked_rows import checked_predictions


def log_loss(labels: np.ndarray, predictions: np.ndarray, *, from_logits: bool = False) -> float:
    """Computes the log loss, the mean of `-y log p - (1 - y) log(1 - p)`.

    Probabilities are clipped to [2.2e-16, 1 - 2.2e-16], so that a wrong certainty costs 36; logits
    are not. Over a stream it is `keras.metrics.BinaryCrossentropy(from_logits=True)`.

    Args:
      labels: `[n]` y, 0 or 1, or a share between.
      predictions: `[n]` probabilities p, or logits.
      from_logits: whether the predictions are logits, of which p is the sigmoid.

    Returns:
      A number of at least 0, in nats; log 2 if p is always 1/2, NaN without rows.

    Raises:
      InputError: lengths differ, values are not finite, or labels or probabilities are not shares.

    Example:
      >>> round(log_loss([1, 0], [0.5, 0.75]), 4)  # (log 2 + log 4) / 2
      1.0397
    """
    labels, predictions = checked_predictions("log_loss", labels, predictions, from_logits)
    if not len(labels):
        return float("nan")
    return float(row_losses(labels, predictions, from_logits).mean())


def row_losses(labels: np.ndarray, predictions: np.ndarray, from_logits: bool) -> np.ndarray:
    """Returns the log loss of each row, `[n]`.

    Example:
      >>> row_losses(np.array([1.0]), np.array([0.0]), True).round(4)
      array([0.6931])
    """
    if from_logits:
        return np.logaddexp(0, predictions) - labels * predictions
    least = np.finfo(np.float64).eps
    p = np.clip(predictions, least, 1 - least)
    return -labels * np.log(p) - (1 - labels) * np.log1p(-p)
