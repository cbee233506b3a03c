"""What a member of a blend adds to the scores of a block of users, in NumPy."""

from __future__ import annotations

import numpy as np

ROUNDING = 2.0**-21
"""Differences up to this share of the largest magnitude count as rounding of float32."""


def terms_of(how: str, scores: np.ndarray, candidates: np.ndarray, k: float) -> np.ndarray:
    """Returns what a member of weight 1 adds to the scores of `Blend(how=how, k=k)`.

    Args:
      how: "rank", "zscore" or "weighted".
      scores, candidates, k: as in `reciprocal_ranks`.

    Returns:
      `[B, N]` float32.

    Example:
      >>> terms_of("weighted", np.array([[5.0]], np.float32), np.ones((1, 1), bool), 10)
      array([[5.]], dtype=float32)
    """
    if how == "rank":
        return reciprocal_ranks(scores, candidates, k)
    return z_scores(scores, candidates) if how == "zscore" else scores


def reciprocal_ranks(scores: np.ndarray, candidates: np.ndarray, k: float) -> np.ndarray:
    """Returns `1 / (k + rank)` for each item: rank 1 is the best candidate.

    Tied items share the mean of their ranks. Neighbours in the order tie if their scores differ by
    rounding alone (`ROUNDING`), so that equal items of a dot product tie in any runtime. Items that
    are no candidates tie after the last one.

    Args:
      scores: `[B, N]` float32, finite.
      candidates: `[B, N]` bool.
      k: constant above 0.

    Returns:
      `[B, N]` float32.

    Example:
      >>> scores = np.array([[5.0, 7.0, 5.0]], np.float32)
      >>> 1 / reciprocal_ranks(scores, np.ones((1, 3), bool), 10) - 10
      array([[2.5, 1. , 2.5]], dtype=float32)
    """
    order, starts, sizes = _runs(np.where(candidates, scores, -np.inf))
    ranks = starts % scores.shape[1] + (sizes + 1) / 2
    values = np.repeat((1 / (k + ranks)).astype(np.float32), sizes).reshape(scores.shape)
    found = np.empty(scores.shape, np.float32)
    np.put_along_axis(found, order, values, 1)
    return found


def z_scores(scores: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Returns the scores less their mean over the candidates, in standard deviations.

    They are 0 if all candidates score the same but for rounding (`ROUNDING`).

    Args:
      scores: `[B, N]` float32, finite.
      candidates: `[B, N]` bool.

    Returns:
      `[B, N]` float32.

    Example:
      >>> z_scores(np.array([[1.0, 3.0, 9.0]], np.float32), np.array([[True, True, False]]))
      array([[-1.,  1.,  7.]], dtype=float32)
    """
    count = np.maximum(candidates.sum(1, keepdims=True), 1)
    kept = np.where(candidates, scores, 0.0).astype(np.float64)
    apart = scores - kept.sum(1, keepdims=True) / count
    spread = np.sqrt((np.where(candidates, apart, 0.0) ** 2).sum(1, keepdims=True) / count)
    constant = spread <= ROUNDING * np.abs(kept).max(1, keepdims=True, initial=0.0)
    return np.where(constant, 0.0, apart / np.where(constant, 1.0, spread)).astype(np.float32)


def reordered(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the values of each row in another order: the largest where the score is largest.

    Items of equal score share the mean of their values.

    Args:
      values, scores: `[B, N]` float32.

    Example:
      >>> reordered(np.array([[1.0, 2.0, 6.0]]), np.array([[9.0, 5.0, 5.0]]))
      array([[6. , 1.5, 1.5]])
    """
    order, starts, sizes = _runs(scores)
    descending = -np.sort(-values, 1)
    means = np.add.reduceat(descending.ravel(), starts) / sizes if len(starts) else starts
    found = np.empty_like(values)
    np.put_along_axis(found, order, np.repeat(means, sizes).reshape(values.shape), 1)
    return found


def _runs(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of each row, best first, and starts and sizes of the ties in all rows, flat."""
    order = np.argsort(-scores, 1)
    ordered = np.take_along_axis(scores, order, 1)
    first = np.ones(scores.shape, bool)
    largest = np.abs(np.where(scores > -np.inf, scores, 0.0)).max(1, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore"):  # items that are no candidates tie
        first[:, 1:] = ordered[:, :-1] - ordered[:, 1:] > np.float32(ROUNDING) * largest
    starts = np.flatnonzero(first)
    return order, starts, np.diff(starts, append=first.size)
