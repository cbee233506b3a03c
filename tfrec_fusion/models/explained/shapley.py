"""Exact Shapley values of a few inputs, from the values of all their subsets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import factorial

import numpy as np


def subsets(names: Sequence[str]) -> list[frozenset[str]]:
    """Returns all 2^n subsets, the empty set first and the full set last."""
    sizes = range(len(names) + 1)
    return [frozenset(found) for size in sizes for found in combinations(names, size)]


def shapley_weights(names: Sequence[str]) -> np.ndarray:
    """Returns the weight of each of `subsets(names)` in each name's share: `[n, 2^n]` float64.

    With v(S) the value of a subset S,

        share_p = sum over S without p of |S|! (n - |S| - 1)! / n! * (v(S + p) - v(S))

    Example:
      >>> shapley_weights(["id", "text"]) @ [0.0, 3.0, 1.0, 6.0]  # of {}, id, text and both
      array([4., 2.])
    """
    n, all_subsets = len(names), subsets(names)
    weights = np.zeros((n, len(all_subsets)))
    for row, name in enumerate(names):
        for column, shown in enumerate(all_subsets):
            before = len(shown - {name})
            weight = factorial(before) * factorial(n - before - 1) / factorial(n)
            weights[row, column] = weight if name in shown else -weight
    return weights
