"""The best items of a retrieval model, of which rankers get negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrec_fusion.data import History
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State

_BLOCK = 1 << 22  # scores held at once


@dataclass(frozen=True)
class Retrieved:
    """The best items of users by a model, as of several times.

    Attributes:
      cuts: `[C]` float64 ascending unix seconds; None without times, where C is 1.
      rows: `[C, n_users]` int32 row of each user in `items`, -1 if nothing is known of the user.
      items: `[R, K]` int32, best first; -1 where fewer are left.
    """

    cuts: np.ndarray | None
    rows: np.ndarray
    items: np.ndarray

    @classmethod
    def of(cls, model: Any, events: Interactions, count: int, cuts: int) -> Retrieved:
        """Retrieves the best items of the users of some events.

        The times divide the events into `cuts` parts of equal size, each but the first of which
        gets the items as of its begin. Users with a history by then and an event in the part get
        some, without their own items of any time.

        Args:
          model: a fitted `tfrec_fusion.models.Model` that ranks the catalogue.
          events: the training events.
          count: number of items of a user.
          cuts: number of parts, 2 or more.

        Raises:
          InputError: the model does not rank the catalogue, or is of other events.
        """
        if not getattr(model, "ranks_catalogue", False) or getattr(model, "spec", None) is None:
            raise InputError(
                "negatives_from: must be a fitted model that ranks the catalogue, e.g. "
                f"EASE().fit(train). Received: {model!r}"
            )
        model.check(events)
        every = State.of(events)
        own, n_users = events.first_events().histories(), len(events.users)
        n_items = len(events.catalogue)
        if every.time is None:
            users = np.flatnonzero(every.histories.lengths)
            parts = [_best(model.scorer(every), users, own, count, n_items)]
            return cls(None, *_table([users], parts, n_users))
        times = events.event_times
        begins = np.unique(np.quantile(times, np.arange(1, cuts) / cuts))
        begins = begins[begins > times.min()]
        active, parts = [], []
        for begin, end in zip(begins, [*begins[1:], np.inf], strict=True):
            state = State.of(events, at=float(begin))
            users = np.unique(events.user[(times >= begin) & (times < end) & (events.user >= 0)])
            users = users[state.histories.lengths[users] > 0]
            active.append(users)
            parts.append(_best(model.scorer(state), users, own, count, n_items))
        if not parts:
            return cls(begins, np.full((0, n_users), -1, np.int32), np.zeros((0, 1), np.int32))
        return cls(begins, *_table(active, parts, n_users))


def _best(scorer, users: np.ndarray, own: History, count: int, n_items: int) -> np.ndarray:
    """The best items `[B, count]` of users, without their own."""
    found, count = [], min(count, n_items)
    step = max(1, _BLOCK // n_items)
    for start in range(0, len(users), step):
        part = users[start : start + step].astype(np.int32)
        scores = np.array(scorer(part), np.float32)
        theirs = own.take(part)
        scores[np.repeat(np.arange(len(part)), theirs.lengths), theirs.items] = -np.inf
        # Which of tied items are among them does not matter, but it must not change.
        best = np.argpartition(-scores, count - 1, 1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, 1), 1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        left = np.take_along_axis(scores, best, 1) > -np.inf
        found.append(np.where(left, best, -1).astype(np.int32))
    return np.concatenate(found) if found else np.zeros((0, count), np.int32)


def _table(active, parts, n_users: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and items of `Retrieved`."""
    rows, begin = np.full((len(active), n_users), -1, np.int32), 0
    for place, users in enumerate(active):
        rows[place, users] = np.arange(begin, begin + len(users))
        begin += len(users)
    return rows, np.concatenate(parts)
