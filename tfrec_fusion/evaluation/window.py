"""Test windows at origins in time."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfrec_fusion.data import Interactions, Split, Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.times import DAY, utc


@dataclass(frozen=True)
class Window:
    """An origin in time and the period after it.

    Attributes:
      start: the origin in unix seconds; training events are earlier.
      end: unix second before which the test events end.
    """

    start: float
    end: float

    @classmethod
    def rolling(
        cls,
        events: Interactions,
        origins: int,
        *,
        test: float = 0.3,
        window_days: float | None = None,
    ) -> list[Window]:
        """Spreads windows of equal length evenly over the last part of the events.

        The tested period starts at the quantile `1 - test` of the times of the events that can be
        targets, as that of `Interactions.split`, and ends with the last of them. The first window
        starts there and the last one ends there. By default the windows tile the period: each
        origin is the end of the window before.

        Args:
          events: events with times.
          origins: number of windows.
          test: share of the events in the tested period, in (0, 1).
          window_days: length of a window; None takes the period's `origins`-th part. Longer windows
            overlap, shorter ones leave gaps.

        Raises:
          InputError: a bad argument, no times, or a window longer than the tested period.
        """
        if not (_is_whole(origins) and origins >= 1):
            raise InputError(
                f"rolling origins: origins must be a whole number of 1 or more. Received: "
                f"{origins!r}"
            )
        if not (_is_number(test) and 0 < test < 1):
            raise InputError(
                f"rolling origins: test must be a share between 0 and 1. Received: {test!r}"
            )
        if window_days is not None and not (_is_number(window_days) and window_days > 0):
            raise InputError(
                "rolling origins: window_days must be a number of days above 0, or None. "
                f"Received: {window_days!r}"
            )
        if events.timestamp is None:
            raise InputError(
                "rolling origins: the events need a column 'timestamp'. Received: no times"
            )
        counted = _counted(events)
        times = counted.event_times[counted.is_target]
        if not len(times):
            raise InputError(
                f"rolling origins: none of {len(events)} events can be a target: of a known user, "
                "with a label and a weight above 0"
            )
        start, end = float(np.quantile(times, 1 - test)), float(times.max()) + 1.0
        length = (end - start) / origins if window_days is None else window_days * DAY
        if length > end - start:
            raise InputError(
                f"rolling origins: window_days is longer than the tested period of "
                f"{(end - start) / DAY:.1f} days, the last {test:g} of the events; pass a larger "
                f"test or shorter windows. Received: {window_days}"
            )
        step = (end - start - length) / max(origins - 1, 1)
        starts = [start + step * place for place in range(origins)]
        ends = [*(begin + length for begin in starts[:-1]), end if origins > 1 else start + length]
        if window_days is None:
            ends = [*starts[1:], end]  # exactly, so that no event falls between two windows
        return [cls(*pair) for pair in zip(starts, ends, strict=True)]

    def split(self, events: Interactions) -> Split:
        """Splits events as of the origin: those before it, and those of the window.

        No event at or after `end` has any influence. Items without an event before `start` are
        cold.

        Raises:
          InputError: no positive event before the origin, or no evaluated user in the window.
        """
        counted = _counted(events)
        times = counted.event_times
        before, inside = times < self.start, (times >= self.start) & (times < self.end)
        if not counted.select(before).is_target.any():
            raise InputError(
                f"rolling origins: no event that can be a target is before the origin "
                f"{utc(self.start)}; pass a smaller test"
            )
        users = Vocabulary(counted.users.ids[pd.unique(counted.user[before])])
        counted = counted.encode_users(users)
        split = Split(counted.select(before), counted.select(inside), "temporal", self.start)
        if not len(split.targets()[0]):
            raise InputError(
                f"rolling origins: the window from {utc(self.start)} to {utc(self.end)} has no "
                f"evaluated user among {int(inside.sum())} events: none of a user with earlier "
                "events, with a new item; pass fewer origins, longer windows or another test"
            )
        return split


def _counted(events: Interactions) -> Interactions:
    """The events that count, of known users, with impressions."""
    counted = events.counted_events(impressions=True)
    return counted.select(counted.user >= 0)


def _is_whole(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
