"""Chooses the cuts in time at which training examples are built."""

from __future__ import annotations

import numpy as np


def cut_times(times: np.ndarray, step: float, horizon: float, most: int) -> np.ndarray:
    """Returns cuts on a grid of `step` back from the end of the events, the latest first.

    Only grid points with events within the following horizon are cuts, so gaps and outliers waste
    none. If there are more than `most`, the cuts are thinned out at quantiles of the events that
    follow them, not of time.

    Args:
      times: `[n]` ascending unix seconds, n >= 1.
      step: seconds between neighbouring cuts.
      horizon: length of the target window in seconds.
      most: largest number of cuts, at least 1.

    Returns:
      `[c]` float64 unix seconds, each after the first event.
    """
    end = times[-1] + 1.0
    cells = np.unique(((end - times) // step).astype(np.int64))
    while len(cells) > 64 * most:
        step *= 2
        cells = np.unique(cells // 2)
    reach = max(min(int(np.ceil(horizon / step)), most), 1)
    cuts = end - np.unique(cells[:, None] + np.arange(1, reach + 1)) * step
    cuts = cuts[cuts > times[0]]
    if len(cuts) <= most:
        return cuts
    following = np.searchsorted(times, cuts + horizon) - np.searchsorted(times, cuts)
    return cuts[_evenly(following, most)]


def _evenly(weights: np.ndarray, most: int) -> np.ndarray:
    """`[n]` bool: chooses `most` positions at even steps of their cumulative weight."""
    share, whole = np.zeros(len(weights)), np.zeros(len(weights), bool)
    while True:
        free = ~whole
        share[free] = weights[free] * ((most - whole.sum()) / max(weights[free].sum(), 1e-9))
        share[whole] = 1.0
        if not (share[free] >= 1).any():
            break
        whole |= share >= 1
    reached = np.floor(np.cumsum(share) + 0.5)
    return np.diff(reached, prepend=0.0) > 0
