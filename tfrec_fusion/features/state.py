"""All that a model may see of events, as of a time."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse

from tfrec_fusion.data import Catalogue, History, Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.item_trend import ItemTrend, item_numbers
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.times import DAY


class State:
    """What is known of items and users as of a time t: the only source of what a model scores from.

    It is computed from the first events before t (`Interactions.first_events`), so nothing in it
    changes with what happens at t or later.

    Attributes:
      events: the first events before t.
      time: t in unix seconds; None without times.

    Example:
      >>> state = State.of(split.train)
      >>> scores = model.scorer(state)(np.array([0]))  # of the first user, [1, n_items]
    """

    def __init__(self, events: Interactions, time: float | None):
        self.events, self.time = events, time

    @classmethod
    def of(cls, events: Interactions, at: float | None = None) -> State:
        """The state of events as of a time.

        Args:
          events: what happened; impressions and repeated events are left out.
          at: unix seconds; the moment after the last event by default. Needs events with times.

        Raises:
          InputError: `at` without times, or no event before it.
        """
        if not hasattr(events, "first_events"):
            require_interactions(events, "State")
        first = events.first_events()
        if first.timestamp is None:
            if at is not None:
                raise InputError(f"State: at needs events with a 'timestamp'. Received: at={at}")
            return cls(first, None)
        if at is None:
            at = float(first.timestamp.max(initial=0.0)) + 1.0
        first = first.select(first.timestamp < at)
        if len(first) == 0:
            raise InputError(
                f"State: none of the {len(events)} events is positive and before {at:.0f}; what "
                "users took needs a label above 0, or no column 'label'"
            )
        return cls(first, at)

    @property
    def catalogue(self) -> Catalogue:
        """The items."""
        return self.events.catalogue

    @cached_property
    def seen(self) -> np.ndarray:
        """`[n_items]` bool: which items have an event."""
        return self.events.item_counts() > 0

    @cached_property
    def histories(self) -> History:
        """Each user's items in time order."""
        return self.events.histories()

    @cached_property
    def matrix(self) -> scipy.sparse.csr_matrix:
        """`[n_users, n_items]` float32, 1 for each pair that occurs."""
        return self.events.matrix()

    def item_features(self, spec: DataSpec) -> tuple[np.ndarray, np.ndarray]:
        """The features that a model reads, by their names.

        Args:
          spec: the model's.

        Returns:
          `[n_items, F]` float32 in the order of `spec.feature_names`, NaN where a number is
          missing, and `[F]` float32 of an item of which nothing is known.

        Raises:
          InputError: a feature that the events and their catalogue do not have.
        """
        names, numbers = list(spec.feature_names), list(spec.numbers)
        if self.time is None or names == numbers:
            columns, values = numbers, item_numbers(self.catalogue, numbers)
            unknown = np.full(len(numbers), np.nan, np.float32)
        else:
            trend = ItemTrend(self.events, numbers)
            columns, values = list(trend.names), trend.at(self.time)[0]
            unknown = trend.unseen(self.time)
        missing = [name for name in names if name not in columns]
        if missing:
            raise InputError(
                f"State: the model reads {missing[0]!r}, which these events do not have; trends "
                f"need a column 'timestamp'. They have: {columns}"
            )
        order = [columns.index(name) for name in names]
        return values[:, order], unknown[order]

    def flat_histories(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The histories of `users` `[B]` one after another.

        Returns:
          Items `[H]` int32, positions in `users` `[H]` int32 and ages `[H]` float32 in days, 0
          without times.
        """
        chosen = self.histories.take(users)
        rows = np.repeat(np.arange(len(users), dtype=np.int32), chosen.lengths)
        return chosen.items, rows, self._ages(chosen)

    def padded_histories(self, users: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The last `length` items of `users` `[B]`, the latest last.

        Returns:
          Items `[B, length]` int32, -1 in the padding at the front, and ages `[B, length]` float32
          in days, 0 there and without times.
        """
        chosen = self.histories.take(users, length)
        items = np.full((len(users), length), -1, np.int32)
        ages = np.zeros((len(users), length), np.float32)
        row = np.repeat(np.arange(len(users)), chosen.lengths)
        column = np.arange(len(row)) - np.repeat(chosen.splits[1:], chosen.lengths) + length
        items[row, column] = chosen.items
        ages[row, column] = self._ages(chosen)
        return items, ages

    def aged_histories(self) -> History:
        """All histories with ages in days, float32, in the place of times; 0 without times."""
        return History(self.histories.splits, self.histories.items, self._ages(self.histories))

    def _ages(self, histories: History) -> np.ndarray:
        if histories.times is None:
            return np.zeros(len(histories.items), np.float32)
        return ((self.time - histories.times) / DAY).astype(np.float32)
