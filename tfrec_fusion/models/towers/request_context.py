"""The encoded context of requests, for scorers and exports."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.context import MOMENT, neutral_context
from tfrec_fusion.features.request_encoder import RequestEncoder
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
