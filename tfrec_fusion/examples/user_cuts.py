"""The pairs of a user and a cut that give training examples, in time and memory of the events."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.data.history import History
from tfrec_fusion.examples.batch import ranges


class UserCuts:
    """All pairs of a user and a cut with a history before the cut and a target after it.

    A target at time s belongs to the cuts in `(s - horizon, s]`. The cuts of a user are the union
    of these intervals over the user's targets, which is stored as one range of cuts for each
    event, so neither time nor memory grow with users x cuts.

    Args:
      histories: the events of each user, in time order.
      cuts: `[c]` unix seconds, descending; a cut is named by its position here.
      horizon: length of the target window in seconds.
      wanted: `[n_events]` bool, which events are targets; None for all.

    Attributes:
      counts: `[n_users]` int64, the number of cuts of each user.
    """

    def __init__(
        self,
        histories: History,
        cuts: np.ndarray,
        horizon: float,
        wanted: np.ndarray | None = None,
    ):
        n_users = len(histories.lengths)
        ascending = cuts[::-1]
        self._last = len(cuts) - 1
        owners = np.repeat(np.arange(n_users, dtype=np.int32), histories.lengths)
        times = histories.event_times
        filled = histories.lengths > 0
        earliest = np.zeros(n_users, np.int32)
        firsts = times[histories.splits[:-1][filled]]
        earliest[filled] = np.searchsorted(ascending, firsts, "right")
        if wanted is not None:
            owners, times = owners[wanted], times[wanted]
        stop = np.searchsorted(ascending, times, "right").astype(np.int32)
        start = np.searchsorted(ascending + horizon, times, "right").astype(np.int32)
        np.maximum(start, earliest[owners], out=start)
        # Both ends ascend within a user, so only the previous event can cover a cut already.
        again = owners[1:] == owners[:-1]
        np.maximum(start[1:], np.where(again, stop[:-1], 0), out=start[1:])
        lengths = np.maximum(stop - start, 0)
        self.counts = np.bincount(owners, lengths, n_users).astype(np.int64)
        self._ends = np.cumsum(lengths, dtype=np.int64)
        # The cut of a place in its event's range is the place plus this.
        self._shifts = start - (self._ends - lengths)
        self._before = np.cumsum(self.counts) - self.counts

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the users `[n]` int32 and cuts `[n]` int32 of all pairs, by user."""
        users, places = ranges(self._before, self._before + self.counts)
        return users.astype(np.int32), self._cuts(places)

    def drawn(self, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns at most `most` cuts of each user, drawn evenly over the user's cuts.

        Each cut of a user is as likely as the others. Users and cuts are as in `all`.
        """
        kept = np.minimum(self.counts, most)
        step = self.counts / np.maximum(kept, 1)
        users, index = ranges(np.zeros_like(kept), kept)
        # Steps of at least 1, so the places of a user are distinct.
        offset = np.where(self.counts > most, rng.random(len(kept)), 0.0)
        places = ((index + offset[users]) * step[users]).astype(np.int64)
        places = np.minimum(places, self.counts[users] - 1) + self._before[users]
        return users.astype(np.int32), self._cuts(places)

    def _cuts(self, places: np.ndarray) -> np.ndarray:
        event = np.searchsorted(self._ends, places, "right")
        return (self._last - (places + self._shifts[event])).astype(np.int32)
