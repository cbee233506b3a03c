"""Factors of items that sell more, or less, than they used to."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.times import DAY


class TrendFactor:
    """The share of an item in recent events over its share in all events, to a power.

    With n events of N items, n_i of item i, and m and m_i of these in the last `days`, the overall
    share is `s_i = (n_i + 1) / (n + N)`, the recent share `(m_i + N s_i) / (m + N)`, as if N more
    events had the overall shares, and the factor their ratio to the power `power`.

    Args:
      days: length of the recent period.
      power: 0 gives 1 for all items.

    Example:
      >>> TrendFactor(days=30, power=0.8).of(tff.features.State.of(split.train)).shape
      (30,)
    """

    def __init__(self, days: float, power: float):
        self.days, self.power = days, power

    def of(self, state: State) -> np.ndarray:
        """Returns the factors `[n_items]` float32 as of a state.

        Raises:
          InputError: the events have no times.
        """
        if state.time is None:
            raise InputError(
                "trend: factors of trends need a column 'timestamp' in the interactions. "
                "Received: no times"
            )
        events, size = state.events, len(state.catalogue)
        recent = events.event_times >= state.time - self.days * DAY
        every = np.bincount(events.item, minlength=size)
        now = np.bincount(events.item[recent], minlength=size)
        overall = (every + 1) / (every.sum() + size)
        share = (now + size * overall) / (now.sum() + size)
        return ((share / overall) ** self.power).astype(np.float32)
