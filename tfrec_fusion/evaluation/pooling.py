"""Pools the values of users over several origins, with resamples of the users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion.evaluation.bootstrap import resamples


def pool(
    users: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    *,
    by_origin: bool,
    bootstrap: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pooled mean of each metric, and those of resamples of the users.

    A resample draws users, each with its values at all origins, so that the intervals know of users
    who are evaluated several times.

    Args:
      users: for each origin `[n]` ids.
      values: for each origin `[n, metrics] float64`, in the order of its ids.
      by_origin: True for the mean over origins of each origin's mean (origins without users are
        left out), False for the mean over all values.
      bootstrap: number of resamples.
      seed: of the resamples; equal seeds and users give the same resamples.

    Returns:
      `[metrics]` and `[bootstrap, metrics]`; NaN without users.

    Example:
      >>> values = [np.array([[1.0], [0.0]]), np.array([[1.0]])]
      >>> pool([["u", "v"], ["u"]], values, by_origin=True, bootstrap=0, seed=0)[0]
      array([0.75])
    """
    everyone = np.concatenate([np.asarray(ids, object) for ids in users]).astype(str)
    distinct, codes = np.unique(everyone, return_inverse=True)
    metrics = values[0].shape[1]
    if not len(distinct):
        return np.full(metrics, np.nan), np.full((bootstrap, metrics), np.nan)
    origin = np.repeat(np.arange(len(users)), [len(u) for u in users])
    sums = np.zeros((len(distinct), len(users), metrics))
    sums[codes, origin] = np.concatenate(values)
    counts = np.zeros((len(distinct), len(users)))
    counts[codes, origin] = 1.0
    drawn = [np.ones((1, len(distinct)))]
    if bootstrap:
        drawn += list(resamples(len(distinct), bootstrap, seed))
    means = []
    for weights in drawn:
        total = (weights @ sums.reshape(len(distinct), -1)).reshape(-1, *sums.shape[1:])
        number = (weights @ counts)[..., None]
        means.append(_mean(total, number, by_origin))
    means = np.concatenate(means)
    return means[0], means[1:]


def _mean(total: np.ndarray, number: np.ndarray, by_origin: bool) -> np.ndarray:
    if not by_origin:
        return total.sum(1) / number.sum(1)
    # A resample has at least one user, and each user is at one origin at least.
    present = number > 0
    return (total / np.maximum(number, 1)).sum(1) / present.sum(1)
