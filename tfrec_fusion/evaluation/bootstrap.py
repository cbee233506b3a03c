"""Bootstrap over users: intervals of means, and a test for the difference of two models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tfrec_fusion.errors import InputError


class PairedDifference(NamedTuple):
    """Mean of `a - b` over users, its 95 % interval, and the two-sided bootstrap p value."""

    difference: float
    low: float
    high: float
    p_value: float

    @classmethod
    def of(cls, difference: float, resampled: np.ndarray) -> PairedDifference:
        """Returns the interval and p value of a difference from those of the resamples."""
        low, high = interval(resampled)
        tail = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0)) + 1
        p_value = min(1.0, 2 * tail / (len(resampled) + 1))
        return cls(difference, float(low), float(high), p_value)


def resampled_means(values: np.ndarray, bootstrap: int, seed: int) -> np.ndarray:
    """Returns the means of `bootstrap` resamples of the users, drawn with replacement.

    Args:
      values: `[users, metrics] float64`, at least one user.
      bootstrap: number of resamples.
      seed: of NumPy's default generator.

    Returns:
      `[bootstrap, metrics] float64`. All metrics share the same resamples.

    Example:
      >>> resampled_means(np.array([[2.0], [2.0]]), 3, 0).ravel()
      array([2., 2., 2.])
    """
    drawn = resamples(len(values), bootstrap, seed)
    return np.concatenate([counts @ values / len(values) for counts in drawn])


def resamples(users: int, bootstrap: int, seed: int) -> Iterator[np.ndarray]:
    """Yields how often each user is in each resample, `[some resamples, users] float64`."""
    generator = np.random.default_rng(seed)
    step = max(1, (1 << 22) // users)
    for start in range(0, bootstrap, step):
        drawn = np.empty((min(step, bootstrap - start), users))
        for row in drawn:
            row[:] = np.bincount(generator.integers(0, users, users), minlength=users)
        yield drawn


def interval(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 95 % percentile interval: the 2.5 and 97.5 percentiles over axis 0.

    Example:
      >>> interval(np.arange(101.0))
      (np.float64(2.5), np.float64(97.5))
    """
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return low, high


def paired_bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    *,
    users: np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """Tests whether two models differ on the same users, by a paired bootstrap of `a - b`.

    A resample takes both models' values of the same users, so the difficulty of a user cancels out
    (Efron & Tibshirani 1993, chapters 13 and 16).

    Args:
      a, b: `[users] float` one metric per user, e.g. `report.per_user["ndcg@10"]` of two reports
        over the same split.
      users: ids of the users, `[users]`, if some of them have several values, e.g. of several
        folds: a resample draws users, each with all its values. None if all differ.
      bootstrap: number of resamples, at least 2: one has no interval.
      seed: of the resamples.

    Returns:
      `PairedDifference(difference, low, high, p_value)`. The p value is twice the smaller share of
      resamples on one side of 0, with the observed sample counted as one more; it is never below
      `2 / (bootstrap + 1)`.

    Raises:
      InputError: different lengths, no users, values that are not finite, or too few resamples.

    Example:
      >>> paired_bootstrap(np.array([0.5, 0.75]), np.array([0.25, 0.5])).difference
      0.25
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise InputError(
            "paired_bootstrap: a and b must be two [users] arrays over the same users, at least "
            f"one; evaluate both models on the same split. Received: shapes {a.shape} and {b.shape}"
        )
    if bootstrap < 2:
        raise InputError(f"paired_bootstrap: bootstrap must be at least 2. Received: {bootstrap}")
    difference = a - b
    if not np.isfinite(difference).all():
        raise InputError(
            "paired_bootstrap: a and b must be finite; leave users without a value out of both. "
            f"Received: {int((~np.isfinite(difference)).sum())} values that are not"
        )
    sums, counts = difference, np.ones(len(difference))
    if users is not None:
        if np.shape(users) != difference.shape:
            raise InputError(
                "paired_bootstrap: users must be the ids of the users, one a value. "
                f"Received: shape {np.shape(users)} for {len(difference)} values"
            )
        _, user = np.unique(np.asarray(users), return_inverse=True)
        sums, counts = np.bincount(user, difference), np.bincount(user).astype(float)
    drawn = resamples(len(sums), bootstrap, seed)
    means = [(one @ sums[:, None]) / (one @ counts[:, None]) for one in drawn]
    return PairedDifference.of(float(difference.mean()), np.concatenate(means)[:, 0])
