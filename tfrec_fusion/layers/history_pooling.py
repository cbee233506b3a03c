"""Pooling of a user's history into one vector."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class HistoryPooling(keras.layers.Layer):
    """Pools the history's item vectors with and without time decay, and adds size and recency.

    With weights `w = exp(-age / decay_days)` (recent) and `w = 1` (all), a pool is
    `sum_j w_j v_j / sqrt(sum_j w_j)`. The output concatenates both pools, `log(1 + n) / 4` and
    `log(1 + age of the latest event in days) / 4`.

    Args:
      decay_days: time constant of the recent pool in days.

    Input: `vectors` `[H, d]` float; `rows` `[H]` int32 ascending, the batch row of each vector;
      `ages` `[H]` float32 days; `batch_size` int scalar; `weights` `[H]` float32 or None, which
      multiply w in both pools.
    Output: `[batch_size, 2 d + 2]` float32; for an empty history zeros except for the recency.
    """

    def __init__(self, decay_days: float = 30.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if decay_days <= 0:
            raise ValueError(f"decay_days must be positive. Received: {decay_days}")
        self.decay_days = decay_days

    def call(self, vectors, rows, ages, batch_size, weights=None):
        vectors, ages = tf.cast(vectors, tf.float32), _positive(ages)
        shares = self.shares(rows, ages, batch_size, weights)
        recent, overall = (
            tf.math.unsorted_segment_sum(vectors * shares[:, p, None], rows, batch_size)
            for p in (0, 1)
        )
        return tf.concat([recent, overall, history_size(rows, ages, batch_size)], 1)

    def shares(self, rows, ages, batch_size, weights=None):
        """Returns each event's weight in both pools, `w_j / sqrt(sum_j w_j)`: `[H, 2]` float32."""
        ages = _positive(ages)
        ones = tf.ones_like(ages) if weights is None else weights
        w = tf.stack([ones * tf.exp(-ages / self.decay_days), ones], 1)
        norm = tf.sqrt(tf.math.unsorted_segment_sum(w, rows, batch_size))
        return tf.math.divide_no_nan(w, tf.gather(norm, rows))

    def get_config(self):
        return super().get_config() | {"decay_days": self.decay_days}


def history_size(rows, ages, batch_size) -> tf.Tensor:
    """Computes the size and recency features of histories.

    Args:
      rows: `[H]` int32 ascending, the batch row of each event.
      ages: `[H]` float days.
      batch_size: int scalar.

    Returns:
      `[batch_size, 2]` float32, `log(1 + n) / 4` and `log(1 + age of the latest event) / 4`; an
      empty history counts as ten years old.
    """
    ages = _positive(ages)
    size = tf.math.unsorted_segment_sum(tf.ones_like(ages), rows, batch_size)
    latest = tf.math.unsorted_segment_min(ages, rows, batch_size)
    latest = tf.minimum(latest, np.float32(3650.0))
    return tf.stack([tf.math.log1p(size), tf.math.log1p(latest)], 1) / 4


def _positive(ages):
    return tf.maximum(tf.cast(ages, tf.float32), 0.0)
