"""Trained vectors of the positions of a history and of the items to rank."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_choice, check_count
from tfrec_fusion.layers.relative_bias import age_bucket

_BUCKETS = 64  # the last one begins after seven years


@keras.utils.register_keras_serializable("tfrec_fusion")
class BehaviorPositions(keras.layers.Layer):
    """Appends a trained vector of the position to the vectors of items and events.

    All items have one position. That of an event is the time since it, in buckets of its logarithm
    (`age_bucket`), or the number of events from it to the latest.

    Args:
      units: columns of a position's vector.
      kind: "time" or "order".
      max_len: events further back share one position of "order".

    Input: `items` `[B, N, dim]` and `history` `[B, L, dim]` float, `present` `[B, L]` bool, `ages`
      `[B, L]` float32 days.
    Output: a tuple of the items `[B, N, dim + units]` and the history `[B, L, dim + units]`.

    Raises:
      ValueError: numbers below 1, or another kind.

    Example:
      >>> items, history = tf.ones([2, 3, 4]), tf.ones([2, 5, 4])
      >>> layer = BehaviorPositions(2, "order")
      >>> [one.shape[-1] for one in layer(items, history, tf.ones([2, 5]) > 0, tf.ones([2, 5]))]
      [6, 6]
    """

    def __init__(self, units: int = 8, kind: str = "time", max_len: int = 64, **kwargs):
        super().__init__(**kwargs)
        check_count("units", units)
        check_count("max_len", max_len)
        check_choice("kind", kind, ("time", "order"))
        self.options = {"units": units, "kind": kind, "max_len": max_len}

    def build(self, input_shape):
        last = _BUCKETS + 1 if self.options["kind"] == "time" else self.options["max_len"]
        self.table = self.add_weight(
            "table",
            (last + 1, self.options["units"]),  # the first row is that of items
            initializer=keras.initializers.RandomNormal(stddev=0.05),
        )
        super().build(input_shape)

    def call(self, items, history, present, ages):
        if self.options["kind"] == "time":
            place = 1 + age_bucket(ages, _BUCKETS)
        else:
            behind = tf.cumsum(tf.cast(present, tf.int32), axis=1, reverse=True)
            place = tf.clip_by_value(behind, 1, self.options["max_len"])
        own = tf.zeros(tf.shape(items)[:2], tf.int32)
        return self._placed(items, own), self._placed(history, place)

    def _placed(self, vectors, place):
        found = tf.cast(tf.gather(self.table, place), self.compute_dtype)
        return tf.concat([tf.cast(vectors, self.compute_dtype), found], -1)

    def get_config(self):
        return super().get_config() | self.options
