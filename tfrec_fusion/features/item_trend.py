"""Recency and trend features of items, as of a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from tfrec_fusion.data.catalogue import Catalogue
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.times import DAY

WINDOWS = (7, 14, 30, 60, 120)
_CACHE_BYTES = 256 << 20


class ItemTrend:
    """Computes item features from the counted events before a time t, never from later ones.

    With N items, n_w events and n_wi events of item i in the w days before t, a log share is
    `log((n_wi + 1) / (n_w + N) * N)`: 0 for an item of average popularity. The features are: the
    log shares over 7, 14, 30, 60 and 120 days, over all time, and over the 45 days that began a
    year before t; the log shares of 30 and 7 days minus that of all time; `log(1 + days) / 4` since
    the first and the last event; whether the item is unseen; and columns of the catalogue, see
    `item_numbers`.

    Args:
      events: events with timestamps.
      numbers: names of the catalogue's columns, which come last in this order; its
        `numeric_columns` by default.

    Attributes:
      names: the names of the F features.

    Raises:
      InputError: `events` has no timestamps, or no positive event.
    """

    def __init__(self, events: Interactions, numbers: Iterable[str] | None = None):
        if events.timestamp is None:
            raise InputError(
                "trend: item trends need a column 'timestamp' in the interactions. "
                "Received: no times"
            )
        counted = events.counted_events()
        if len(counted) == 0:
            raise InputError(
                f"trend: none of the {len(events)} events is positive; a positive event has a "
                "label above 0, or there is no column 'label'"
            )
        self._times, self._items = counted.event_times, counted.item
        self._n_items = len(events.catalogue)
        # The times of each item's events, item by item, which give its first and last one.
        self._item_times = self._times[np.argsort(self._items, kind="stable")]
        counts = np.bincount(self._items, minlength=self._n_items)
        self._starts = np.cumsum(counts) - counts
        numbers = tuple(events.catalogue.numeric_columns if numbers is None else numbers)
        # The additional last row is for an unknown item; see `unseen`.
        self._static = np.full((self._n_items + 1, len(numbers)), np.nan, np.float32)
        self._static[:-1] = item_numbers(events.catalogue, numbers)
        self.names = (
            *(f"log_share_{days}d" for days in WINDOWS),
            "log_share",
            "log_share_year_ago",
            "rise_30d",
            "rise_7d",
            "log_age",
            "log_since_last",
            "unseen",
            *numbers,
        )
        self._cache: OrderedDict[float, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    @property
    def capacity(self) -> int:
        """Number of times whose features are kept for the next call of `at`, at least 1."""
        row_bytes = 4 * len(self.names)
        return max(_CACHE_BYTES // ((self._n_items + 1) * row_bytes), 1)

    @property
    def end(self) -> float:
        """One second after the last event, in unix seconds."""
        return float(self._times[-1]) + 1.0

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns features `[n_items, F]` float32 and seen flags `[n_items]` bool as of `time`.

        Only events before `time` count. Missing numbers are NaN.
        """
        features, seen = self._at(time)
        return features[:-1], seen[:-1]

    def unseen(self, time: float) -> np.ndarray:
        """Returns features `[F]` float32 at `time` of an item without events; numbers are NaN."""
        return self._at(time)[0][-1]

    def _at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        if time in self._cache:
            self._cache.move_to_end(time)
            return self._cache[time]
        end = int(np.searchsorted(self._times, time))
        windows = [self._share(time - days * DAY, end) for days in WINDOWS]
        counts = np.bincount(self._items[:end], minlength=self._n_items + 1)
        total = self._shares(counts, end)
        year_ago_end = int(np.searchsorted(self._times, time - (365 - 45) * DAY))
        year_ago = self._share(time - 365 * DAY, year_ago_end)
        seen = counts > 0
        first, last = np.full((2, self._n_items + 1), time)
        had = np.flatnonzero(seen)
        first[had] = self._item_times[self._starts[had]]
        last[had] = self._item_times[self._starts[had] + counts[had] - 1]
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
        if len(self._cache) > self.capacity:
            self._cache.popitem(last=False)
        return features, seen

    def _share(self, start: float, end: int) -> np.ndarray:
        begin = min(np.searchsorted(self._times, start), end)
        counts = np.bincount(self._items[begin:end], minlength=self._n_items + 1)
        return self._shares(counts, int(end - begin))

    def _shares(self, counts: np.ndarray, n_events: int) -> np.ndarray:
        return np.log((counts + 1) * (self._n_items / (n_events + self._n_items)))


def item_numbers(catalogue: Catalogue, names: Iterable[str] | None = None) -> np.ndarray:
    """Returns numeric columns of a catalogue on a log scale, `[n_items, len(names)]` float32.

    Each value is `sign(x) log(1 + |x|)`, NaN if missing. It does not standardise: a model stores
    mean and deviation of its training items in its weights, see `layers.Standardise`.

    Args:
      catalogue: the items.
      names: names of the columns, in order; `numeric_columns` by default.

    Raises:
      InputError: a column is absent or not numeric.
    """
    names = catalogue.numeric_columns if names is None else list(names)
    values = np.empty((len(catalogue), len(names)), np.float32)
    for index, name in enumerate(names):
        column = catalogue.numeric(name)
        values[:, index] = np.sign(column) * np.log1p(np.abs(column))
    return values
