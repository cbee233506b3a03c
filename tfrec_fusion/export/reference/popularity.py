"""Items in groups of equal popularity."""

from __future__ import annotations

import numpy as np

GROUPS = 11


def popularity_groups(events) -> np.ndarray:
    """`[n]` int: 0 for the items with the first tenth of all events, ... 9, and 10 for no event.

    Items go by events, the most first; equal ones in the order of the catalogue. An item belongs to
    the tenth in which its first event falls.

    Args:
      events: `[n]` counts of training events.

    Example:
      >>> popularity_groups([0, 5, 10, 5]).tolist()  # item 2 holds the first half
      [10, 5, 0, 7]
    """
    events = np.asarray(events, np.int64)
    order = np.argsort(-events, kind="stable")
    sorted_events = events[order]
    before = np.cumsum(sorted_events) - sorted_events
    total = max(int(events.sum()), 1)
    groups = np.empty(len(events), np.int64)
    groups[order] = np.where(sorted_events > 0, before * 10 // total, GROUPS - 1)
    return groups
