"""Fits monotone curves from logits to calibrated logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import isotonic_regression

from tfrec_fusion.models.calibration.curve import Curve

_KNOTS = 63
_BLOCK_ROWS = 50


def platt(logits: np.ndarray, labels: np.ndarray) -> Curve:
    """Fits `a x + b` by cross entropy: Platt scaling.

    The labels are `(n_1 + 1) / (n_1 + 2)` and `1 / (n_0 + 2)` instead of 1 and 0, for n_1 positives
    and n_0 negatives, so that the fit exists where a threshold separates them. From Platt,
    "Probabilistic Outputs for Support Vector Machines" (1999).

    Args:
      logits: `[n] float64`.
      labels: `[n]`, 0 or 1, of both kinds.

    Raises:
      ValueError: the fitted slope is not positive, so that it would turn the order round.

    Example:
      >>> logits, labels = np.repeat([-1.0, 1.0], 1000), np.tile([0, 0, 0, 1, 1, 1, 1, 0], 250)
      >>> labels[:1000] = np.tile([0, 0, 0, 1], 250)
      >>> curve = platt(logits, labels)  # a quarter at -1, a half at 1: logits -1.1 and 0
      >>> round(curve.slope, 2), round(curve.y[0], 2)
      (0.55, -0.55)
    """
    slope, shift = _logistic(np.stack([logits, np.ones_like(logits)], 1), labels)
    return Curve(x=(0.0,), y=(shift,), slope=_rising(slope))


def temperature(logits: np.ndarray, labels: np.ndarray) -> Curve:
    """Fits `x / T` by cross entropy: temperature scaling (Guo et al., ICML 2017).

    The labels are those of `platt`.

    Args:
      logits, labels: as there.

    Raises:
      ValueError: as there.
    """
    return Curve(x=(0.0,), y=(0.0,), slope=_rising(_logistic(logits[:, None], labels)[0]))


def isotonic(logits: np.ndarray, labels: np.ndarray) -> Curve:
    """Fits an isotonic regression, made strictly rising: lines between the centres of its blocks.

    The knots are the blocks' mean logits and the logits of their shares of positives, a block
    with at least 50 rows, at most 63 blocks. A share is `(n_1 + r) / (n + 1)` for the share r of
    all rows, so that its logit is finite. Outside the knots the logit is shifted. Isotonic
    calibration is from Zadrozny & Elkan, "Transforming Classifier Scores into Accurate Multiclass
    Probability Estimates" (KDD 2002).

    Args:
      logits, labels: as of `platt`.
    """
    x, where = np.unique(logits, return_inverse=True)
    rows = np.bincount(where).astype(np.float64)
    positives = np.bincount(where, labels)
    fitted = isotonic_regression(positives / rows, sample_weight=rows)
    block = np.cumsum(np.append(0, np.diff(fitted) > 0))
    sums = np.stack([np.bincount(block, one) for one in (rows, positives, rows * x)], 1)
    sums = _merged(sums)
    share = labels.mean()
    while True:
        rows, positives, x = sums.T
        knots = x / rows, logit((positives + share) / (rows + 1))
        falls = np.zeros(len(rows), bool)
        for values in knots:
            falls[1:] |= np.diff(values.astype(np.float32)) <= 0
        if not falls.any():
            return Curve(x=tuple(knots[0].tolist()), y=tuple(knots[1].tolist()))
        sums = np.add.reduceat(sums, np.flatnonzero(~falls))


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], Curve]] = {
    "isotonic": isotonic,
    "platt": platt,
    "temperature": temperature,
}
"""Name -> function from logits and labels to a `Curve`."""


def _merged(sums: np.ndarray) -> np.ndarray:
    """Merges neighbouring blocks, of which column 0 has the rows, until they are few and large."""
    while len(sums) > 1 and (len(sums) > _KNOTS or sums[:, 0].min() < _BLOCK_ROWS):
        least = int(np.argmin(sums[:, 0]))
        first = max(least - 1, 0)
        if least == 0 or (least + 1 < len(sums) and sums[least + 1, 0] < sums[first, 0]):
            first = least
        starts = np.delete(np.arange(len(sums)), first + 1)
        sums = np.add.reduceat(sums, starts)
    return sums


def _logistic(columns: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The coefficients of a logistic regression on columns `[n, k]`, by Newton's method."""
    positives = labels.sum()
    above, below = (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2)
    targets = np.where(labels > 0, above, below)

    def loss(weights):
        z = columns @ weights
        return (np.logaddexp(0, z) - targets * z).mean()

    weights = np.eye(columns.shape[1])[0]
    least = loss(weights)
    for _ in range(100):
        p = expit(columns @ weights)
        gradient = columns.T @ (p - targets) / len(labels)
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns / len(labels)
        step = np.linalg.pinv(curvature, hermitian=True) @ gradient
        while (found := loss(weights - step)) > least and np.abs(step).max() > 1e-12:
            step /= 2
        if found > least or np.abs(step).max() <= 1e-12:
            break
        weights, least = weights - step, found
    return weights


def _rising(slope: float) -> float:
    if not slope > 1e-6:
        raise ValueError(f"the fitted slope of the logit must be positive. Received: {slope:.3g}")
    return float(slope)
