"""AUC: the area under the ROC curve."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.metrics.checked_rows import checked_rows


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
    positive = labels > 0
    if positive.all() or not positive.any():
        return float("nan")
    return float(placements(positive, scores)[positive].mean())


def placements(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns which share of the other class each row is ranked right against; ties count half.

    For a positive it is the share of the negatives that score lower, for a negative that of the
    positives that score higher: the structural components of the AUC, which is the mean over
    either class (DeLong et al., Biometrics 1988). NaN if there is only one class.

    Args:
      positive: `[n]` bool.
      scores: `[n]` finite numbers.

    Example:
      >>> placements(np.array([True, False, False, True]), np.array([3.0, 1.0, 2.0, 2.0]))
      array([1.  , 1.  , 0.75, 0.75])
    """
    if not len(scores):
        return np.zeros(0)
    order = np.argsort(scores, kind="stable")
    new = np.append(True, np.diff(scores[order]) != 0)
    run = np.empty(len(scores), int)
    run[order] = np.cumsum(new) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        negatives = np.bincount(run, ~positive)
        below = (np.cumsum(negatives) - negatives / 2) / negatives.sum()
        positives = np.bincount(run, positive)
        above = 1 - (np.cumsum(positives) - positives / 2) / positives.sum()
    return np.where(positive, below[run], above[run])
