"""Training and test events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfrec_fusion.data.history import History
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.errors import InputError

KINDS = ("temporal", "leave_one_out", "random", "none")


@dataclass(frozen=True)
class Split:
    """Training events and the test events that follow them.

    Both sides hold the first event of each user-item pair. Everything fitted comes from `train`:
    its user vocabulary has the users of training rows only, so a test event of any other user has
    row -1.

    Attributes:
      train, test: the events; `test` is empty for kind "none".
      kind: "temporal" (test from a quantile of event time on), "leave_one_out" (each user's last
        event), "random" (each pair with probability `test`) or "none".
      time: the unix second at which the test period starts, or None.
    """

    train: Interactions
    test: Interactions
    kind: str
    time: float | None = None

    @classmethod
    def of(
        cls, events: Interactions, kind: str, *, test: float | None = None, seed: int = 0
    ) -> Split:
        """Splits `events`.

        Args:
          events: at least one event of a known user; those of unknown users (-1) are left out.
          kind: one of "temporal", "leave_one_out", "random", "none".
          test: the share of events in the test set (expected, for random), in (0, 1); .1 for
            temporal, .2 for random.
          seed: of the random split.

        Raises:
          InputError: an unknown kind, a share outside (0, 1), no timestamps where the kind needs
            them, or a split that leaves one side empty.
        """
        if kind not in KINDS:
            raise InputError(f"split: kind must be one of {', '.join(KINDS)}. Received: {kind!r}")
        test = (0.2 if kind == "random" else 0.1) if test is None else test
        if not 0 < test < 1:
            raise InputError(f"split: test must be a share between 0 and 1. Received: {test}")
        if kind in ("temporal", "leave_one_out") and events.timestamp is None:
            raise InputError(
                f"split: {kind!r} needs a column 'timestamp'; without times use 'random'"
            )
        first = events.first_events()
        first = first.select(first.user >= 0)
        if len(first) == 0:
            raise InputError(f"split: none of the {len(events)} events is of a known user")
        time = None
        if kind == "temporal":
            time = float(np.quantile(first.timestamp, 1 - test))
            held_out = first.timestamp >= time
        elif kind == "leave_one_out":
            held_out = _last_events(first)
        elif kind == "random":
            held_out = np.random.default_rng(seed).random(len(first)) < test
        else:
            held_out = np.zeros(len(first), bool)
        if held_out.all() or (kind != "none" and not held_out.any()):
            side = "training" if held_out.all() else "test"
            raise InputError(
                f"split: {kind!r} with test={test} of {len(first)} events leaves no {side} events"
            )
        users = Vocabulary(first.users.ids[pd.unique(first.user[~held_out])])
        first = first.encode_users(users)
        return cls(first.select(~held_out), first.select(held_out), kind, time)

    def targets(self) -> tuple[np.ndarray, History]:
        """The evaluated users `[e]` int32 and, in the same order, their test items.

        A user is evaluated who has a training event and at least one test item that is not among
        their training items.
        """
        known = self.test.select(self.test.user >= 0)
        pairs = [np.int64(len(x.catalogue)) * x.user + x.item for x in (known, self.train)]
        new = ~np.isin(*pairs)
        histories = known.select(new).histories()
        users = np.flatnonzero(histories.lengths).astype(np.int32)
        return users, histories.take(users)


def _last_events(first: Interactions) -> np.ndarray:
    """`[n]` bool: the last event of each user with at least two, ties broken by position."""
    users = first.user
    last = np.zeros(len(users), bool)
    _, reverse_index = np.unique(users[::-1], return_index=True)
    last[len(users) - 1 - reverse_index] = True
    return last & (np.bincount(users)[users] >= 2)
