"""A monotone map from logits to calibrated logits."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator


class Curve(BaseModel):
    """A strictly rising, piecewise linear function of the logit.

    It goes through the knots `(x_k, y_k)` in straight lines, and with a slope of its own before the
    first and after the last one. Platt scaling is a single knot `(0, b)` with the slope a.

    Attributes:
      x, y: the knots, both strictly rising in float32.
      slope: of both ends.

    Raises:
      ValueError: no knots, of unequal number, or not rising.

    Example:
      >>> Curve(x=(0.0, 2.0), y=(1.0, 2.0)).slope
      1.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.x or len(self.x) != len(self.y):
            raise ValueError(
                f"x and y must be as many knots, at least one. Received: {len(self.x)} and "
                f"{len(self.y)}"
            )
        for name, values in (("x", self.x), ("y", self.y)):
            knots = np.asarray(values, np.float32)
            if not np.isfinite(knots).all() or (np.diff(knots) <= 0).any():
                raise ValueError(f"{name} must be finite and strictly rising. Received: {values}")
        return self
