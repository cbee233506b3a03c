"""Statistics that compare two samples (PSI) or measure inequality (Gini)."""

from __future__ import annotations

import numpy as np


def psi(expected, observed) -> float:
    """Population stability index of two histograms over the same bins.

    The sum over bins of (p - q) ln(p / q), where p and q are the shares of each histogram's counts
    after adding 0.5 to each bin, so that the effect of an empty bin depends on the sample size.
    Bins that are empty in both are left out. It is 0 for equal histograms, symmetric and
    nonnegative. Without drift it is about (bins - 1) (1/n + 1/m) for n and m rows.

    Args:
      expected, observed: `[bins]` counts.

    Returns:
      NaN where either is empty.

    Example:
      >>> round(psi([3, 1], [1, 3]), 4)  # 0.4 ln(7/3) - 0.4 ln(3/7)
      0.6778
    """
    expected, observed = np.asarray(expected, float), np.asarray(observed, float)
    if expected.sum() == 0 or observed.sum() == 0:
        return float("nan")
    used = (expected > 0) | (observed > 0)
    p, q = expected[used] + 0.5, observed[used] + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def gini(counts) -> float:
    """Gini coefficient of counts: 0 if all are equal, (n - 1) / n if one item has everything.

    Args:
      counts: `[n]` counts of all items, including zeros.

    Returns:
      The coefficient; NaN if all counts are 0.

    Example:
      >>> gini([0, 0, 0, 8])
      0.75
    """
    counts = np.sort(np.asarray(counts, float))
    n, total = len(counts), counts.sum()
    if total == 0:
        return float("nan")
    return float(2 * np.sum(np.arange(1, n + 1) * counts) / (n * total) - (n + 1) / n)
