"""Samples negatives that all rows of a batch share."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tfrec_fusion.errors import InputError

Sampling = Literal["uniform", "popularity", "mixed"]
_POPULAR = {"uniform": 0.0, "popularity": 1.0, "mixed": 0.5}


class ItemSampler:
    """Draws items with replacement: uniformly, by popularity, or half and half.

    An item's popularity is its share of the given events. Negatives by popularity are those that a
    model must tell from the targets; uniform ones are nearer to what the softmax over the catalogue
    sees. Half and half is mixed negative sampling (Yang et al., WWW 2020).

    Args:
      sampling: "uniform", "popularity" or "mixed".
      counts: `[n_items]` number of events of each item.

    Raises:
      InputError: another sampling, or no event to sample by.

    Example:
      >>> sampler = ItemSampler("mixed", np.array([3, 1, 0, 0]))
      >>> sampler.shares.tolist()  # (3/4 + 1/4) / 2, (1/4 + 1/4) / 2 and twice (0 + 1/4) / 2
      [0.5, 0.25, 0.125, 0.125]
    """

    def __init__(self, sampling: Sampling, counts: np.ndarray):
        if sampling not in _POPULAR:
            raise InputError(
                f"batches: sampling must be one of {', '.join(_POPULAR)}. Received: {sampling!r}"
            )
        total, popular = counts.sum(), _POPULAR[sampling]
        if popular and not total:
            raise InputError(f"batches: sampling={sampling!r} needs events. Received: 0 events")
        self.shares = np.full(len(counts), (1 - popular) / len(counts))
        if popular:
            self.shares += popular * counts / total
        self._uniform, self._sums = not popular, np.cumsum(self.shares)

    def __call__(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draws `count` items."""
        if self._uniform:
            return rng.integers(0, len(self.shares), count)
        # The last sum may be a rounding error below 1.
        place = np.searchsorted(self._sums, rng.random(count), "right")
        return np.minimum(place, len(self.shares) - 1)
