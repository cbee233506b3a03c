"""Chooses how much each member counts in a blend: ensemble selection."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.retrieval.counted_ranks import top_items

_TOP = 10


def ensemble_selection(
    terms: np.ndarray, hits: np.ndarray, relevant: np.ndarray, steps: int
) -> np.ndarray:
    """Returns how often each member counts in the best sum of terms, `[members]` int.

    Forward selection with replacement (Caruana et al., ICML 2004): from nothing on, each step adds
    the terms of the member that raises the mean NDCG@10 the most, which may be one that is in
    already. The best of the steps is returned, the earliest of equals.

    Args:
      terms: `[members, users, candidates]` float32, -inf for items that are no candidates.
      hits: `[users, candidates]` bool: the relevant items.
      relevant: `[users]` int: number of relevant items, those that are no candidates too; above 0.
      steps: number of steps, 1 or more.

    Example:
      >>> terms = np.array([[[2.0, 1.0, 0.0]], [[0.0, 1.0, 2.0]]], np.float32)
      >>> ensemble_selection(terms, np.array([[True, False, False]]), np.array([1]), steps=3)
      array([1, 0])
    """
    sums = np.zeros(terms.shape[1:], np.float32)
    counts = np.zeros(len(terms), int)
    best, at = counts, -1.0
    for _ in range(steps):
        found = [ndcg(sums + one, hits, relevant).mean() for one in terms]
        chosen = int(np.argmax(found))
        sums += terms[chosen]
        counts = counts + (np.arange(len(terms)) == chosen)
        if found[chosen] > at:
            best, at = counts, found[chosen]
    return best


def ndcg(scores: np.ndarray, hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Returns NDCG@10 of each user, `[users]` float64.

    Args:
      scores: `[users, candidates]` float32, -inf for items that are no candidates.
      hits, relevant: as in `ensemble_selection`.
    """
    discounts = 1 / np.log2(np.arange(2, _TOP + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, _TOP) - 1]
    tops = top_items(scores, min(_TOP, scores.shape[1]))
    gains = np.take_along_axis(hits, np.maximum(tops, 0), 1) & (tops >= 0)
    return gains @ discounts[: tops.shape[1]] / ideal
