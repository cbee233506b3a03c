"""AUC: the area under the ROC curve."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.metrics.checked_rows import checked_rows
from tfrec_fusion.metrics.grouped_auc import user_aucs


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Computes the AUC, the share of pairs in which the positive scores higher than the negative.

    Ties count half. `gauc` takes only pairs within a user.

    Args:
      labels: `[n]`, positive above 0.
      scores: `[n]` finite numbers; only their order matters.

    Returns:
      A number in [0, 1]; .5 for uninformative scores, NaN without a positive or a negative.

    Raises:
      InputError: lengths differ, or values are not finite.

    Example:
      >>> auc([1, 0, 0, 1], [3.0, 1.0, 2.0, 2.0])  # of 4 pairs 3 are right and one is a tie
      0.875
    """
    labels, scores = checked_rows("auc", labels=labels, scores=scores)
    if not len(labels):
        return float("nan")
    return float(user_aucs(np.zeros(len(labels), int), labels, scores)[0][0])
