"""Groups items by popularity into groups with equal numbers of events."""

from __future__ import annotations

import numpy as np

GROUPS = 11


def popularity_groups(events) -> np.ndarray:
    """Popularity group of each item, `[n]` int: 0 (head) to 9 (tail), and 10 without events.

    Each of the groups 0 to 9 has a tenth of all events. Items are sorted by events, most first,
    ties in catalogue order; an item belongs to the tenth in which its first event falls.

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
