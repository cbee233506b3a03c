"""Trained bias of attention logits by distance in positions and in time."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf

_SECONDS = 86_400.0
_WIDTH = 0.301  # of a bucket, in natural logarithms of seconds


@keras.utils.register_keras_serializable("tfrec_fusion")
class RelativeBias(keras.layers.Layer):
    """Adds a weight for the distance of two positions, and one for the time between them.

    The bias of query i and key j is `p[i - j] + t[bucket of seconds from j to the request of i]`,
    where the request of i is the next event, and of the last one the time that ages count from.
    Buckets are `floor(ln(max(1, seconds)) / .301)`. Source: HSTU (Zhai et al., ICML 2024).

    Args:
      max_len: largest number of positions.
      buckets: number of the last bucket of time.

    Input: `[B, L]` float32 ages in days of the events at the positions, the latest last.
    Output: `[B, L, L]` float32, by query and key; only keys up to the query are meaningful.

    Raises:
      ValueError: sizes below 1.
    """

    def __init__(self, max_len: int, buckets: int = 128, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        if max_len < 1 or buckets < 1:
            raise ValueError(
                f"max_len and buckets must be at least 1. Received: {max_len}, {buckets}"
            )
        self.sizes = {"max_len": max_len, "buckets": buckets}
        self.positions, self.times = (
            self.add_weight(name, (size,), initializer=keras.initializers.RandomNormal(stddev=0.02))
            for name, size in (("positions", max_len), ("times", buckets + 1))
        )

    def call(self, ages):
        place = tf.range(tf.shape(ages)[1])
        behind = tf.clip_by_value(place[:, None] - place[None], 0, self.sizes["max_len"] - 1)
        asked = tf.concat([ages[:, 1:], tf.zeros_like(ages[:, :1])], 1)
        days = tf.abs(ages[:, None] - asked[:, :, None])
        bucket = age_bucket(days, self.sizes["buckets"])
        return tf.gather(self.positions, behind)[None] + tf.gather(self.times, bucket)

    def get_config(self):
        return super().get_config() | self.sizes


def age_bucket(days: tf.Tensor, last: int) -> tf.Tensor:
    """Returns the bucket int32 of ages in days: `floor(ln(max(1, seconds)) / .301)`, up to `last`.

    Example:
      >>> age_bucket(tf.constant([0.0, 1.0]), 64).numpy().tolist()
      [0, 37]
    """
    seconds = tf.cast(days, tf.float32) * _SECONDS
    bucket = tf.cast(tf.math.log(tf.maximum(seconds, 1.0)) / _WIDTH, tf.int32)
    return tf.minimum(bucket, last)
