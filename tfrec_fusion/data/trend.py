"""Item recency and trend, as of a time."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError

DAY = 86400.0
WINDOWS = (7, 14, 30, 60, 120)
_CACHE_BYTES = 256 << 20


class ItemTrend:
    """Item features computed from the first events before a time t, and from no later one.

    With N items, n_w events and n_wi events of item i in the w days before t, a log share is
    `log((n_wi + 1) / (n_w + N) * N)`: 0 for an item of average popularity. The features are the log
    shares over 7, 14, 30, 60 and 120 days, over all time and over the 45 days that began a year
    before t; the log shares of 30 and 7 days less that of all time; the log days since the first
    and the last event; whether the item is unseen; and the catalogue's numeric columns, signed-log
    scaled and standardised over the items seen in `events`.

    Args:
      events: events with times; features never depend on those at or after the time asked for,
        apart from the fixed scaling of the numeric columns.

    Attributes:
      names: the features' names, `F` of them.

    Raises:
      InputError: `events` has no timestamps.
    """

    def __init__(self, events: Interactions):
        if events.timestamp is None:
            raise InputError("trend: the interactions have no column 'timestamp'")
        first = events.first_events()
        if len(first) == 0:
            raise InputError(
                f"trend: none of the {len(events)} events is positive; what users took needs a "
                "label above 0, or no column 'label'"
            )
        self._times, self._items = first.timestamp, first.item
        self._n_items = len(events.catalogue)
        seen = np.bincount(self._items, minlength=self._n_items) > 0
        numeric = events.catalogue.numeric_columns
        columns = [standardised(events.catalogue.numeric(name), seen) for name in numeric]
        # One row more than there are items: an item of which nothing is known; see `unseen`.
        self._static = np.zeros((self._n_items + 1, len(columns)), np.float32)
        for index, column in enumerate(columns):
            self._static[:-1, index] = column
        self.names = (
            *(f"log_share_{days}d" for days in WINDOWS),
            "log_share",
            "log_share_year_ago",
            "rise_30d",
            "rise_7d",
            "log_age",
            "log_since_last",
            "unseen",
            *numeric,
        )
        self._cache: OrderedDict[float, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    @property
    def end(self) -> float:
        """The first moment after the last event, in unix seconds."""
        return float(self._times[-1]) + 1.0

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Features `[n_items, F]` float32 and seen flags `[n_items]` bool from before `time`."""
        features, seen = self._at(time)
        return features[:-1], seen[:-1]

    def unseen(self, time: float) -> np.ndarray:
        """Features `[F]` float32 at `time` of an item without any event and without numbers."""
        return self._at(time)[0][-1]

    def _at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        if time in self._cache:
            self._cache.move_to_end(time)
            return self._cache[time]
        end = np.searchsorted(self._times, time)
        windows = [self._share(time - days * DAY, end) for days in WINDOWS]
        total = self._share(-np.inf, end)
        year_ago_end = np.searchsorted(self._times, time - (365 - 45) * DAY)
        year_ago = self._share(time - 365 * DAY, year_ago_end)
        items, times = self._items[:end], self._times[:end]
        first = np.full(self._n_items + 1, time)
        first[items[::-1]] = times[::-1]
        last = np.full(self._n_items + 1, time)
        last[items] = times
        seen = np.zeros(self._n_items + 1, bool)
        seen[items] = True
        dynamic = [
            *windows,
            total,
            year_ago,
            windows[2] - total,
            windows[0] - total,
            np.log1p((time - first) / DAY) / 4,
            np.log1p((time - last) / DAY) / 4,
            ~seen,
        ]
        features = np.concatenate([np.stack(dynamic, 1).astype(np.float32), self._static], 1)
        self._cache[time] = features, seen
        if len(self._cache) * features.nbytes > _CACHE_BYTES and len(self._cache) > 1:
            self._cache.popitem(last=False)
        return features, seen

    def _share(self, start: float, end: int) -> np.ndarray:
        begin = min(np.searchsorted(self._times, start), end)
        counts = np.bincount(self._items[begin:end], minlength=self._n_items + 1)
        return np.log((counts + 1) * (self._n_items / (end - begin + self._n_items)))


def standardised(values: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Signed-log values `[n]` float32, of mean 0 and deviation 1 over `fitted`; 0 for NaN."""
    scaled = np.sign(values) * np.log1p(np.abs(values))
    known = scaled[fitted & np.isfinite(scaled)]
    mean, deviation = (known.mean(), known.std()) if len(known) else (0.0, 1.0)
    return np.nan_to_num((scaled - mean) / max(deviation, 1e-6), nan=0.0).astype(np.float32)
