"""A fitted calibration, as part of a ranker."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from tfrec_fusion._compat import tf
from tfrec_fusion.models.calibration.curve import Curve


class Calibration(BaseModel):
    """Maps the logits of a ranker's head to calibrated ones, by one curve or one a slice.

    Within a slice it keeps the order of the logits: a higher logit has a higher probability, and
    equal ones an equal one. The score of a ranker stays the logit itself.

    Attributes:
      method: name of the method.
      head: name of the head whose probability it calibrates.
      total: the curve of all rows.
      by: what tells slices apart, see `tfrec_fusion.training.calibrate`; None for one curve.
      slices: code of a slice -> its curve; all others have that of `total`.
      names: code -> name of a slice.
      rows: number of rows that it was fitted on.
      base_rate: the share of positives among them, negatives sampled or not: the probabilities are
        those of this share.

    Example:
      >>> one = Calibration(method="platt", total=Curve(x=(0.0,), y=(1.0,), slope=0.5))
      >>> one.logits(tf.constant([0.0, 2.0])).numpy()
      array([1., 2.], dtype=float32)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    head: str = "label"
    total: Curve
    by: str | None = None
    slices: dict[int, Curve] = {}
    names: dict[int, str] = {}
    rows: int = 0
    base_rate: float = 0.5

    def logits(self, logits: Any, codes: Any = None) -> tf.Tensor:
        """Returns calibrated logits float32, in the shape of `logits`.

        Args:
          logits: of any shape, float32.
          codes: int32 code of each one's slice, in the same shape; None or -1 takes `total`.
        """
        x = tf.convert_to_tensor(logits, tf.float32)
        curve = self._curve(x, codes)
        table, count, slopes = self._tables()
        width = table.shape[2]
        knots_x, knots_y = (tf.constant(one.reshape(-1)) for one in table)
        first = curve * width
        # Binary search for the number of knots at or below x: few, cheap operations, which every
        # runtime has. The rows of the table end in infinity.
        below, step = tf.zeros_like(curve), width // 2
        while step:
            reached = tf.gather(knots_x, first + below + (step - 1)) <= x
            below += tf.where(reached, step, 0)
            step //= 2
        last = tf.gather(tf.constant(count), curve) - 1
        left = first + tf.clip_by_value(below - 1, 0, last)
        right = first + tf.minimum(below, last)
        x0, x1 = tf.gather(knots_x, left), tf.gather(knots_x, right)
        y0, y1 = tf.gather(knots_y, left), tf.gather(knots_y, right)
        inside = x1 > x0
        share = (x - x0) / tf.where(inside, x1 - x0, 1.0)
        between = tf.minimum(y0 + share * (y1 - y0), y1)
        outside = y0 + tf.gather(tf.constant(slopes), curve) * (x - x0)
        return tf.where(inside, between, outside)

    def _curve(self, x, codes) -> tf.Tensor:
        """The row of each one's curve in the tables."""
        if codes is None or not self.slices:
            return tf.zeros_like(x, tf.int32)
        rows = np.zeros(max(self.slices) + 2, np.int32)
        rows[list(self.slices)] = np.arange(1, len(self.slices) + 1)
        other = len(rows) - 1
        codes = tf.where((codes < 0) | (codes > other), other, codes)
        return tf.gather(tf.constant(rows), codes)

    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Knots `[2, curves, width]`, numbers of knots and slopes `[curves]`; the total first."""
        curves = [self.total, *self.slices.values()]
        count = np.array([len(one.x) for one in curves], np.int32)
        width = 1 << int(count.max()).bit_length()
        table = np.full((2, len(curves), width), np.inf, np.float32)
        for row, one in enumerate(curves):
            table[0, row, : count[row]], table[1, row, : count[row]] = one.x, one.y
        return table, count, np.array([one.slope for one in curves], np.float32)
