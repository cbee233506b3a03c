"""Features of the events of padded histories."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf


class EventFields:
    """Looks up the encoded features of events by their places, inside a dataset's graph.

    Args:
      encoded: field -> values of all events, `[n, width]` int32 or `[n, N]` float32.
    """

    def __init__(self, encoded: Mapping[str, np.ndarray]):
        with tf.device("CPU:0"):
            self._values = {name: tf.constant(values) for name, values in encoded.items()}

    def __call__(self, places: tf.Tensor, real: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns field -> `[B, L, ...]` of places `[B, L]`; -1 or 0 where `real` is False."""
        return {
            name: tf.where(
                real[..., None],
                tf.gather(values, places),
                tf.constant(-1 if values.dtype.is_integer else 0, values.dtype),
            )
            for name, values in self._values.items()
        }
