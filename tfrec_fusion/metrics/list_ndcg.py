"""NDCG of lists with graded labels."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.errors import check_whole_number
from tfrec_fusion.metrics.checked_rows import checked_rows


def ndcg_of_lists(
    lists: np.ndarray, labels: np.ndarray, scores: np.ndarray, k: int | None = 10
) -> float:
    """Computes the mean NDCG@k of the lists that have a label above 0.

    With the gain `2^l - 1` of a label and the discount `1 / log2(1 + rank)` of a rank up to k, DCG
    is the sum of their products in the order of the scores, and NDCG is DCG over that of the best
    order. Of equal scores it is the mean over all orders: each has their ranks' mean discount
    (McSherry and Najork, ECIR 2008). Gains of Burges et al. (ICML 2005).

    Args:
      lists: `[n]` integers or strings that say which list a row is part of, in any order.
      labels: `[n]` finite grades, those below 0 without gain.
      scores: `[n]` finite numbers; only their order within a list matters.
      k: the last rank that counts; None for all.

    Returns:
      A number in [0, 1]; NaN if no list has a label above 0.

    Raises:
      InputError: lengths differ, values are not finite or missing, or `k` is no whole number of
        1 or more.

    Example:
      >>> ndcg_of_lists([7, 7, 8, 8], [0, 1, 2, 0], [1.0, 1.0, 0.5, 0.25]).__round__(4)
      0.9077
    """
    ndcg = list_ndcgs(lists, labels, scores, k)
    return float(np.nanmean(ndcg)) if np.isfinite(ndcg).any() else float("nan")


def list_ndcgs(
    lists: np.ndarray, labels: np.ndarray, scores: np.ndarray, k: int | None = 10
) -> np.ndarray:
    """Computes each list's NDCG@k, for the distinct lists in ascending order.

    Args:
      lists, labels, scores, k: see `ndcg_of_lists`.

    Returns:
      `[l]` float64, NaN of a list without a label above 0.

    Raises:
      InputError: as `ndcg_of_lists`.

    Example:
      >>> list_ndcgs([8, 8, 7], [1, 0, 0], [3.0, 2.0, 1.0])
      array([nan,  1.])
    """
    if k is not None:
        check_whole_number("ndcg_of_lists: k, if not None,", k)
    lists, labels, scores = checked_rows("ndcg_of_lists", lists=lists, labels=labels, scores=scores)
    if not len(lists):
        return np.zeros(0)
    group = np.unique(lists, return_inverse=True)[1]
    count = np.bincount(group)
    labels = np.maximum(labels.astype(np.float64), 0)
    # Relative to the list's highest gain, as 2^l of a large label is infinite.
    highest = np.zeros(len(count))
    np.maximum.at(highest, group, labels)
    gains = np.exp2(labels - highest[group]) - np.exp2(-highest[group])

    # The rows of both orders are those of one list after another, so the ranks are the same.
    rank = np.arange(1, len(group) + 1) - np.repeat(np.cumsum(count) - count, count)
    discount = 1 / np.log2(1 + rank)
    if k is not None:
        discount[rank > k] = 0
    of_list = np.repeat(np.arange(len(count)), count)
    best = np.bincount(of_list, gains[np.lexsort([-gains, group])] * discount)

    order = np.lexsort([-scores, group])
    gains, scores = gains[order], scores[order]
    new = np.append(True, (np.diff(of_list) != 0) | (np.diff(scores) != 0))
    run = np.cumsum(new) - 1
    shared = (np.bincount(run, discount) / np.bincount(run))[run]
    with np.errstate(invalid="ignore"):
        return np.bincount(of_list, gains * shared) / best
