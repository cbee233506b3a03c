"""The events, histories and item features that a model scores from, as of a time."""

from __future__ import annotations

import numbers
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse

from tfrec_fusion.data import Catalogue, History, Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.context import in_histories
from tfrec_fusion.features.history_events import encoded_events
from tfrec_fusion.features.item_trend import ItemTrend, item_numbers
from tfrec_fusion.features.kinds.values import category_texts
from tfrec_fusion.features.label_rates import LabelRates
from tfrec_fusion.features.side import Side
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.times import DAY


class State:
    """Histories and item features as of a time t: everything that a model scores from.

    It uses only the events before t that count (`Interactions.counted_events`), so events at t or
    later never leak in.

    Attributes:
      events: the counted events before t.
      time: t in unix seconds; None without timestamps.
      last: number of last items that a history keeps; None for all.
      impressions: the impressions before t, without `label`; None if there are none.

    Example:
      >>> state = State.of(split.train)
      >>> scores = model.scorer(state)(np.array([0]))  # of the first user, [1, n_items]
    """

    def __init__(
        self,
        events: Interactions,
        time: float | None,
        last: int | None = None,
        impressions: Interactions | None = None,
    ):
        self.events, self.time, self.last = events, time, last
        self.impressions = impressions

    @classmethod
    def of(cls, events: Interactions, at: float | None = None) -> State:
        """Builds the state of events as of a time.

        Args:
          events: interactions; impressions are ignored, and repeated events unless they count.
          at: unix seconds; by default one second after the last event. Needs timestamps.

        Raises:
          InputError: `at` without timestamps, or no positive event before it.
        """
        if not hasattr(events, "counted_events"):
            require_interactions(events, "State")
        counted = events.counted_events()
        if counted.timestamp is None:
            if at is not None:
                raise InputError(f"State: at needs events with a 'timestamp'. Received: at={at}")
            return cls(counted, None, impressions=_impressions(events))
        if at is None:
            at = float(counted.timestamp.max(initial=0.0)) + 1.0
        counted = counted.select(counted.timestamp < at)
        if len(counted) == 0:
            raise InputError(
                f"State: none of the {len(events)} events is positive and before {at:.0f}; a "
                "positive event has a label above 0, or there is no column 'label'"
            )
        shown = _impressions(events)
        if shown is not None:
            shown = shown.select(shown.event_times < at)
        return cls(counted, at, impressions=shown)

    def cut(self, last: int | None) -> State:
        """Returns the same state with histories of the last `last` items, e.g. 0 for new users.

        Of users whose histories are cut, no impressions and no rates of labels are known.

        Raises:
          InputError: `last` is no whole number of at least 0, nor None.
        """
        whole = isinstance(last, numbers.Integral) and not isinstance(last, bool)
        if last is not None and not (whole and last >= 0):
            raise InputError(
                f"State: last must be a whole number of 0 or more, or None. Received: {last!r}"
            )
        return State(self.events, self.time, last, self.impressions)

    @property
    def catalogue(self) -> Catalogue:
        """The items."""
        return self.events.catalogue

    @property
    def has_steps(self) -> bool:
        """Whether ages are numbers of later events, as the events have positions and no times."""
        return self.events.position is not None

    @property
    def disliked(self) -> scipy.sparse.csr_matrix | None:
        """`[n_users, n_items]` float32, 1 for `Interactions.disliked` pairs; None without any."""
        if self.impressions is None or self.last is not None:
            return None
        shown, liked = self.impressions.matrix(), self.events.matrix()
        return scipy.sparse.csr_matrix((shown > liked).astype(np.float32))

    @cached_property
    def seen(self) -> np.ndarray:
        """`[n_items]` bool: whether each item has an event."""
        return self.events.item_counts() > 0

    @cached_property
    def histories(self) -> History:
        """Each user's items in order of time or position."""
        return self._cut(self.events.histories())

    def _cut(self, histories: History) -> History:
        if self.last is None:
            return histories
        return histories.take(np.arange(len(histories.lengths)), self.last)

    @cached_property
    def matrix(self) -> scipy.sparse.csr_matrix:
        """`[n_users, n_items]` float32: how often each item is in a user's history."""
        if self.last is None and self.events.repeats == "first":
            return self.events.matrix()
        histories, shape = self.histories, (len(self.events.users), len(self.catalogue))
        ones = np.ones(len(histories.items), np.float32)
        parts = (ones, histories.items, histories.splits)
        # A copy: summing sorts the indices in place.
        matrix = scipy.sparse.csr_matrix(parts, shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    def item_features(self, spec: DataSpec) -> tuple[np.ndarray, np.ndarray]:
        """Returns the item features that a model reads.

        Args:
          spec: the spec of the model.

        Returns:
          `[n_items, F]` float32 in the order of `spec.feature_names`, NaN for a missing number; and
          `[F]` float32, the features of an unknown item.

        Raises:
          InputError: the events and their catalogue lack a feature.
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
                f"State: the events lack {len(missing)} features that the model reads, e.g. "
                f"{missing[0]!r}; trends need a column 'timestamp'. Received: {columns}"
            )
        order = [columns.index(name) for name in names]
        return values[:, order], unknown[order]

    def user_features(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        """Returns the declared features of all users: categories and numbers, as `Side.encode`.

        Raises:
          InputError: the events have no users' table, or it lacks a column.
        """
        if self.events.user_table is None:
            raise InputError(
                "State: the model reads features of users, and the events have no table of users; "
                f"pass users= to Interactions. Features: {', '.join(side.columns)}"
            )
        return side.encode(self._user_rows())

    def event_features(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        """Returns the declared features of the events of `histories`, in their order.

        Returns:
          Categories `[n_events, width]` int32 and numbers `[n_events, n_numbers]` float32.

        Raises:
          InputError: the events lack a column, or it holds values of another kind than in training.
        """
        events = in_histories(self.events)
        if self.last is not None:
            every = replace(self.events.histories(), events=np.arange(len(events)))
            events = events.select(self._cut(every).events)
        return encoded_events(side, events)

    def label_rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers of `LabelRates` of all users and all items.

        Returns:
          `[n_users + 1, 2]` and `[n_items + 1, 2]` float32, the last row is of an unknown one. Of
          users whose histories are cut none is known.

        Raises:
          InputError: no impressions are among the events.
        """
        rates = LabelRates(self.events, self.impressions)
        users = rates.of_users()
        if self.last is not None:
            users[:] = users[-1]
        return users, rates.of_items()

    def user_texts(self, column: str) -> np.ndarray:
        """Returns a categorical column of all users as texts, "" for missing: `[n_users]`."""
        texts = category_texts(self._user_rows(), column, "users")
        return np.array(["" if text is None else text for text in texts], object)

    def _user_rows(self) -> pd.DataFrame:
        return self.events.user_table.rows_of(self.events.users.ids)

    def flat_histories(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the concatenated histories of `users` `[B]`.

        Returns:
          Items `[H]` int32, positions in `users` `[H]` int32 and ages `[H]` float32: days, or
          without timestamps but with positions the number of later events of the user, else 0.
        """
        chosen = self.histories.take(users)
        rows = np.repeat(np.arange(len(users), dtype=np.int32), chosen.lengths)
        return chosen.items, rows, self._ages(chosen)

    def padded_histories(self, users: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the last `length` items of `users` `[B]`, the latest last.

        Returns:
          Items `[B, length]` int32 with padding -1 at the front, and ages `[B, length]` float32 in
          days, 0 for padding and without timestamps, also with positions.
        """
        chosen = self.histories.take(users, length)
        items = np.full((len(users), length), -1, np.int32)
        ages = np.zeros((len(users), length), np.float32)
        row = np.repeat(np.arange(len(users)), chosen.lengths)
        column = np.arange(len(row)) - np.repeat(chosen.splits[1:], chosen.lengths) + length
        items[row, column] = chosen.items
        if chosen.times is not None:
            ages[row, column] = self._ages(chosen)
        return items, ages

    def aged_histories(self) -> History:
        """Returns all histories with ages, as in `flat_histories`, instead of times."""
        return History(self.histories.splits, self.histories.items, self._ages(self.histories))

    def _ages(self, histories: History) -> np.ndarray:
        if self.has_steps:
            return histories.steps.astype(np.float32)
        if histories.times is None:
            return np.zeros(len(histories.items), np.float32)
        return ((self.time - histories.times) / DAY).astype(np.float32)


def _impressions(events: Interactions) -> Interactions | None:
    """The impressions among events, without `label`; None if there are none."""
    shown = events.is_impression
    return events.select(shown).without_labels() if shown.any() else None
