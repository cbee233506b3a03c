"""The encoded context of requests, for scorers and exports."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.context import MOMENT, asked_columns, neutral_context
from tfrec_fusion.features.request_encoder import RequestEncoder, is_given
from tfrec_fusion.features.row_encoder import RowEncoder
from tfrec_fusion.features.side import Side

RENAMED = {MOMENT: "time"}
"""Column -> the input of a request that gives it."""


class RequestContext(tf.Module):
    """Encodes the context of requests; one that gives no time has that of the state.

    Args:
      side: the features of the context.
      time: of the state, in unix seconds; None without timestamps.
    """

    def __init__(self, side: Side, time: float | None):
        super().__init__(name="request_context")
        self.encoder = RequestEncoder(side, renamed=RENAMED)
        self.row_encoder = RowEncoder(side, RENAMED)
        self._time = time
        now = np.nan if time is None else time
        self.now = tf.Variable(now, trainable=False, dtype=tf.float64, name="now")
        self._neutral = [neutral_context(side, moment) for moment in (time, None)]

    def __call__(
        self, batch: tf.Tensor, given: Mapping[str, tf.Tensor] | None = None, hidden: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns categories `[B, width]` and numbers `[B, n_numbers]`.

        Args:
          batch: B.
          given: the inputs of `encoder`; None gives nothing.
          hidden: whether nothing is known of the requests, not even their time.
        """
        if hidden or given is None:
            values = self._neutral[1 if hidden else 0]
            return tuple(tf.repeat(tf.constant(value), batch, axis=0) for value in values)
        given = dict(given)
        for name, column in self.encoder.names.items():
            if column == MOMENT and given[name].dtype == tf.float64:
                given[name] = tf.where(tf.math.is_nan(given[name]), self.now, given[name])
        return self.encoder(given)

    def of_rows(self, given: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the same from the inputs of `row_encoder`."""
        given, absent = dict(given), []
        for name, column in self.row_encoder.names.items():
            values = given[name]
            if column == MOMENT and values.dtype != tf.int32:
                here = values != values.dtype.min if values.dtype == tf.int64 else is_given(values)
                absent.append(tf.logical_not(here))
                if self._time is not None:
                    given[name] = tf.where(here, values, tf.cast(self._time, values.dtype))
        encoded = self.row_encoder(given)
        if not absent:
            return encoded
        # The stored encoding, as int64 and float32 would round the time of the state.
        unasked = tf.reduce_all(tf.stack(absent), 0)[:, None]
        return tuple(
            tf.where(tf.logical_and(unasked, ~asked), tf.constant(stored), new)
            for asked, stored, new in zip(
                asked_columns(self.encoder.side), self._neutral[0], encoded, strict=True
            )
        )
