"""Splits events into training and test events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tfrec_fusion.data.history import History
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.errors import InputError

if TYPE_CHECKING:
    from tfrec_fusion.data.interactions import Interactions

KINDS = ("temporal", "leave_one_out", "random", "given", "none")
_GIVEN = ("train", "valid", "test")  # values of the column 'split'


@dataclass(frozen=True)
class Split:
    """Training events and held-out test events.

    Both parts hold the positive events that count (`Interactions.counted_events`), and the
    impressions (events with a label of 0 or less): rankers train on these, but they are never
    targets. The user
    vocabulary holds only the users of `train`; test events of other users have row -1.

    Attributes:
      train, test: the events; `test` is empty for kind "none".
      kind: "temporal" (test from a quantile of event time on), "leave_one_out" (each user's last
        event), "random" (each event with probability `test`), "given" (by the events' column
        `split`, as of a published split) or "none".
      time: the unix second at which the test period starts, or None.
    """

    train: Interactions
    test: Interactions
    kind: str
    time: float | None = None
    # The training and validation events of kind "given".
    _given: Interactions | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        events: Interactions,
        kind: str,
        *,
        test: float | None = None,
        seed: int = 0,
        keep_valid: bool = True,
    ) -> Split:
        """Splits `events`.

        Args:
          events: at least one event of a known user; events of unknown users (-1) are left out.
          kind: one of "temporal", "leave_one_out", "random", "given", "none".
          test: share of the events that can be targets in the test set (for random the expected
            share), in (0, 1); .1 for temporal, .2 for random by default. Impressions and events of
            weight 0 follow the others of their time. None for "given".
          seed: of the random split.
          keep_valid: whether the training events of kind "given" are those of "train" and "valid",
            or of "train" alone. `validation()` tests on "valid" in both cases.

        Raises:
          InputError: an unknown kind, a share outside (0, 1), no timestamps although the kind needs
            them (a position does for "leave_one_out"), other values than "train", "valid" and
            "test" in the column `split`, or a split that leaves one part empty.
        """
        if kind not in KINDS:
            raise InputError(f"split: kind must be one of {', '.join(KINDS)}. Received: {kind!r}")
        if kind == "given":
            if test is not None:
                raise InputError(
                    "split: test is a share that kind 'given' does not take, as the column 'split' "
                    f"decides; leave it out. Received: {test}"
                )
            return cls._of_column(events, keep_valid)
        if not keep_valid:
            raise InputError(
                f"split: keep_valid=False is for kind 'given' alone. Received: {kind!r}"
            )
        test = (0.2 if kind == "random" else 0.1) if test is None else test
        if not 0 < test < 1:
            raise InputError(f"split: test must be a share between 0 and 1. Received: {test}")
        if kind == "temporal" and events.timestamp is None:
            other = "random" if events.position is None else "leave_one_out"
            raise InputError(
                f"split: 'temporal' needs a column 'timestamp'; without times use {other!r}"
            )
        if kind == "leave_one_out" and events.timestamp is None and events.position is None:
            raise InputError(
                "split: 'leave_one_out' needs a column 'timestamp' or 'position'; without an order "
                "use 'random'"
            )
        counted = events.counted_events(impressions=True)
        counted = counted.select(counted.user >= 0)
        if len(counted) == 0:
            raise InputError(f"split: none of the {len(events)} events has a known user")
        taken = counted.is_target
        if not taken.any():
            raise InputError(
                f"split: none of {len(counted)} events can be a target: all have a label or a "
                "weight of 0 or less; give the events of taken items a label and a weight above 0"
            )
        time = None
        if kind == "temporal" and counted.timestamp is not None:
            time = float(np.quantile(counted.timestamp[taken], 1 - test))
            held_out = counted.timestamp >= time
        elif kind == "leave_one_out":
            held_out = _last_events(counted.user, taken)
        elif kind == "random":
            held_out = np.random.default_rng(seed).random(len(counted)) < test
        else:
            held_out = np.zeros(len(counted), bool)
        n_test, n_events = int(held_out[taken].sum()), int(taken.sum())
        if n_test == n_events or (kind != "none" and n_test == 0):
            side = "test" if n_test == 0 else "training"
            raise InputError(
                f"split: {kind!r} with test={test} of {n_events} events leaves no {side} events"
            )
        return cls._cut(counted, ~held_out, held_out, kind, time)

    @classmethod
    def _of_column(cls, events: Interactions, keep_valid: bool) -> Split:
        parts = _parts(events)
        unknown = ~parts.isin(_GIVEN)
        if unknown.any():
            raise InputError(
                f"split: column 'split' must hold {', '.join(_GIVEN)} alone, and has "
                f"{int(unknown.sum())} other or missing values, first "
                f"{parts[unknown].iloc[0]!r} at row {int(np.argmax(unknown))}; rename them"
            )
        counted = events.counted_events(impressions=True)
        counted = counted.select(counted.user >= 0)
        part = _parts(counted).to_numpy()
        train = part == "train"
        if keep_valid:
            train |= part == "valid"
        for name, chosen in (("training", train), ("test", part == "test")):
            if not (chosen & counted.is_target).any():
                raise InputError(
                    f"split: 'given' of {len(counted)} events leaves no {name} events that can be "
                    f"a target. Received: {pd.Series(part).value_counts().to_dict()}"
                )
        return cls._cut(counted, train, part == "test", "given", given=part != "test")

    @classmethod
    def _cut(cls, events: Interactions, train, test, kind, time=None, given=None) -> Split:
        """The split by masks; the vocabulary of users is that of the training events."""
        users = Vocabulary(events.users.ids[pd.unique(events.user[train])])
        kept = None if given is None else events.select(given)
        events = events.encode_users(users)
        return cls(events.select(train), events.select(test), kind, time, kept)

    @property
    def repeats(self) -> str:
        """Which events of a user-item pair count; see `Interactions`."""
        return self.train.repeats

    def validation(self, *, test: float | None = None, seed: int = 0) -> Split:
        """Splits the training events again, for early stopping, model selection and tuning.

        A temporal split holds out the end of the training period; other kinds hold out events as
        this split chose its test events, and kind "given" those of "valid". The test events
        themselves stay unseen. Build and train the model on `validation().train`; a model that
        reads user ids knows only those users.

        Args:
          test, seed: as in `of`.

        Raises:
          InputError: as in `of`.

        Example:
          >>> part = split.validation()
          >>> held_out = part.test.batches(512, known=part.train)
          >>> history = model.fit(part.train.batches(512), validation_data=held_out, verbose=0)
          >>> "val_loss" in history.history
          True
        """
        kind = self.kind
        if kind == "given":
            return self._validation_of_column(test)
        if kind == "none":
            kind = "random" if self.train.position is None else "leave_one_out"
            kind = kind if self.train.timestamp is None else "temporal"
        return Split.of(self.train, kind, test=test, seed=seed)

    def _validation_of_column(self, test: float | None) -> Split:
        given = self.train if self._given is None else self._given
        part = _parts(given).to_numpy()
        if test is not None or not (part == "valid").any():
            received = f"test={test}" if test is not None else "no rows of 'valid'"
            raise InputError(
                "split: the validation events of kind 'given' are those of 'valid' in the column "
                "'split', beside rows of 'train', without a share; split split.train in another "
                f"way, or add them. Received: {received}"
            )
        return self._cut(given, part == "train", part == "valid", "given")

    def targets(self) -> tuple[np.ndarray, History]:
        """Returns the evaluated users `[e]` int32 and, in the same order, their test items.

        Evaluated users have a training event and at least one test item. Items are distinct, and
        of events with a weight above 0; those among the user's training items count only with
        `repeats="all"`.
        """
        train = self.train.positives()
        known = self.test.target_events().with_repeats("first").first_events()
        wanted = (known.user >= 0) & np.isin(known.user, train.user)
        if self.repeats == "first":
            held, had = (np.int64(len(x.catalogue)) * x.user + x.item for x in (known, train))
            wanted &= ~np.isin(held, had)
        histories = known.select(wanted).histories()
        users = np.flatnonzero(histories.lengths).astype(np.int32)
        return users, histories.take(users)


def _parts(events: Interactions) -> pd.Series:
    """The column `split`, or InputError if the events have none."""
    context = events.context
    if "split" not in context:
        raise InputError(
            "split: 'given' needs a column 'split' of the events that holds train, valid or test. "
            f"Received: {list(context)}"
        )
    return context["split"].astype(object)


def _last_events(users: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """`[n]` bool: True for the last positive of each user with at least two, and impressions after.

    Position breaks ties in time.
    """
    place = np.where(taken, np.arange(len(users)), -1)
    last = np.full(users.max() + 1, -1)
    np.maximum.at(last, users, place)
    count = np.bincount(users[taken], minlength=len(last))
    return (np.arange(len(users)) >= last[users]) & (count[users] >= 2)
