"""Users' histories in compressed rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrec_fusion.errors import InputError


@dataclass(frozen=True)
class History:
    """Each user's items in order of time or position, in compressed sparse rows.

    Attributes:
      splits: `[n_users + 1]` int64; user u's events are `splits[u]:splits[u + 1]`.
      items: `[n_events]` int32 item rows.
      times: `[n_events]` float64 unix seconds, ascending for each user, or None.
      events: `[n_events]` int rows of the events in another table, e.g. of their features, or None.
    """

    splits: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    events: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.splits)

    @property
    def steps(self) -> np.ndarray:
        """`[n_events]` int64: how many events of the user come later; 0 for the last one."""
        return np.repeat(self.splits[1:], self.lengths) - np.arange(len(self.items)) - 1

    @property
    def event_times(self) -> np.ndarray:
        """`times`, or InputError if the histories have none."""
        if self.times is None:
            raise InputError("histories: this needs a column 'timestamp'; the events have no times")
        return self.times

    def of(self, user: int) -> np.ndarray:
        """Returns one user's item rows, `[length]` int32; empty for the unknown user -1."""
        return (
            self.items[self.splits[user] : self.splits[user + 1]] if user >= 0 else self.items[:0]
        )

    def take(self, users: np.ndarray, last: int | None = None) -> History:
        """Returns the histories of `users` (empty for -1), each cut to its `last` events."""
        users = np.asarray(users)
        known = users >= 0
        end = np.where(known, self.splits[users + 1], 0)
        start = np.where(known, self.splits[users], 0)
        if last is not None:
            start = np.maximum(start, end - last)
        splits = np.concatenate([[0], np.cumsum(end - start)])
        index = np.arange(splits[-1]) + np.repeat(start - splits[:-1], end - start)
        times, events = (
            None if values is None else values[index] for values in (self.times, self.events)
        )
        return History(splits, self.items[index], times, events)
