"""Ranks of targets and short top-k lists in NumPy, without sorting the catalogue."""

import numpy as np

from tfrec_fusion.errors import InputError

_COMPARED = 1 << 23  # target-item comparisons held at once, one byte each
_GROUP = 32


def count_ranks(
    scores: np.ndarray, splits: np.ndarray, target_scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts, for each target, the candidates that score above it and those that tie with it.

    Args:
      scores: `[users, items] float32`; -inf for masked items.
      splits: `[users + 1] int64`; the targets of user `u` are `splits[u]:splits[u + 1]`.
      target_scores: `[targets] float32`, finite.

    Returns:
      `(greater, equal)`, both `[targets] int64`. If a target is itself a candidate, its own `equal`
      includes it.

    Example:
      >>> scores = np.array([[3.0, 1.0, 3.0, -np.inf]], np.float32)
      >>> count_ranks(scores, np.array([0, 2]), np.array([3.0, 1.0], np.float32))
      (array([0, 2]), array([2, 1]))
    """
    greater = np.zeros(len(target_scores), np.int64)
    equal = np.zeros(len(target_scores), np.int64)
    step = max(1, _COMPARED // max(1, scores.shape[1]))
    for user, row in enumerate(scores):
        for start in range(splits[user], splits[user + 1], step):
            stop = min(start + step, splits[user + 1])
            target = target_scores[start:stop, None]
            greater[start:stop] = np.count_nonzero(row > target, axis=1)
            equal[start:stop] = np.count_nonzero(row == target, axis=1)
    return greater, equal


def top_items(scores: np.ndarray, k: int) -> np.ndarray:
    """Returns the `k` best items of each user; ties go to the lower item row.

    The k-th largest maximum of item groups is a lower bound of the k-th largest score, so only the
    few items at or above that bound are sorted. The result is exact.

    Args:
      scores: `[users, items] float32`; -inf for masked items, no NaN.
      k: length of the lists.

    Returns:
      `[users, k] int32` item rows, best first, padded with -1 if there are fewer candidates.

    Example:
      >>> top_items(np.array([[1.0, 5.0, 5.0, -np.inf]], np.float32), 4)
      array([[ 1,  2,  0, -1]], dtype=int32)
    """
    if k < 1:
        raise InputError(f"top_items: k must be at least 1. Received: {k}")
    users, items = scores.shape
    lists = np.full((users, k), -1, np.int32)
    if not users or not items:
        return lists
    starts = np.arange(0, items, _GROUP)
    if len(starts) >= k:
        maxima = np.maximum.reduceat(scores, starts, axis=1)
        bound = np.partition(maxima, len(starts) - k, axis=1)[:, len(starts) - k]
    else:
        bound = np.full(users, -np.inf, np.float32)
    kept = (scores >= bound[:, None]) & (scores > -np.inf)
    user, item = np.nonzero(kept)
    best = np.lexsort((item, -scores[user, item], user))
    user, item = user[best], item[best]
    first = np.searchsorted(user, np.arange(users))
    place = np.arange(len(user)) - first[user]
    listed = place < k
    lists[user[listed], place[listed]] = item[listed]
    return lists
