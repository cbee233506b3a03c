"""One figure of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure of a window of requests and what to think of it.

    Attributes:
      name: as in `Limits`.
      value: NaN where there is nothing to compute it from.
      reference: what it is for the reference, or None.
      rows: how many requests it rests on.
      warn, alert: its limits; None is never.
      state: "ok", "warn", "alert", or "few" where it rests on too few requests to say.
    """

    name: str
    value: float
    reference: float | None
    rows: int
    warn: float | None
    alert: float | None
    state: str

    def to_dict(self) -> dict:
        return vars(self) | {"value": None if math.isnan(self.value) else self.value}
