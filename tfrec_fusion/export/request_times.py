"""Checks the times that requests give."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from tfrec_fusion.times import DAY, EARLIEST, LARGEST, time_problem

TIME_KINDS = ("time", "date")
"""Kinds of inputs that are times, see `signature.Tensor`."""

_AHEAD = 3653 * DAY  # ten years


@dataclass(frozen=True)
class RequestTimes:
    """Finds times of requests that are in another unit than seconds.

    The time of a request ("time") must be from 1990 to ten years from now, or from the export if it
    is later. Times of other columns ("date") must be before the year 5138, as in tables. NaN is no
    time. Versions as of a time before 1990, which do not count seconds since 1970, take any.

    Attributes:
      as_of: time of the export in unix seconds; None without timestamps.

    Example:
      >>> times = RequestTimes.of_card({"data": {"as_of": "2024-05-31T00:00:00+00:00"}})
      >>> times.problem("time", np.array([np.nan, 1.7e9]))
      >>> times.problem("time", np.array([1.7e12]))
      'must be unix seconds from 1990-01-01 to ...; these are milliseconds: divide by 1000. ...'
    """

    as_of: float | None

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> RequestTimes:
        """Reads the time of the export from its model card."""
        as_of = (card.get("data") or {}).get("as_of")
        return cls(None if as_of is None else datetime.fromisoformat(as_of).timestamp())

    def problem(self, kind: str, values: np.ndarray) -> str | None:
        """Returns what is wrong with the first wrong time, or None if all are valid.

        Args:
          kind: one of `TIME_KINDS`.
          values: times of any shape, NaN for none.
        """
        if self.as_of is not None and self.as_of < EARLIEST:
            return None
        earliest, latest = -LARGEST, LARGEST
        if kind == "time":
            earliest, latest = EARLIEST, max(time.time(), self.as_of or 0.0) + _AHEAD
        given = values[~np.isnan(values)]
        wrong = given[(given < earliest) | (given > latest)]
        if not len(wrong):
            return None
        return f"{time_problem(float(wrong[0]), latest, earliest)}. Received: {wrong[0]:g}"
