"""One figure of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure of a window of requests, with its limits and state.

    Attributes:
      name: as in `Limits`.
      value: NaN if there is no data to compute it from.
      reference: value of the figure on the reference, or None.
      rows: number of requests it was computed from.
      warn, alert: its limits; None means never.
      state: "ok", "warn", "alert", or "few" if there are too few requests to judge.
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
