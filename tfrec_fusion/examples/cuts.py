"""Where the cuts lie at which training examples are made."""

from __future__ import annotations

import numpy as np


def cut_times(times: np.ndarray, step: float, horizon: float, most: int) -> np.ndarray:
    """Cuts on a grid of `step` back from the end of the events, the latest first.

    Cuts lie where events follow within the horizon, so that a gap, and an event that lies far from
    the others, costs none. Where there are more than `most`, they are chosen at even steps of the
    events that follow them: at quantiles of events, not of time.

    Args:
      times: `[n]` ascending unix seconds, n >= 1.
      step: seconds between neighbouring cuts.
      horizon: seconds.
      most: bound on the number of cuts, at least 1.

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
    """`[n]` bool: `most` of the places, at even steps of the sum of their weights, none twice."""
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
