"""Score of the items that a user already had."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf

_DECAYS = (7.0, 30.0, 90.0, 365.0)
_PAIR = 1 << 32


@keras.utils.register_keras_serializable("tfrec_fusion")
class RepeatScore(keras.layers.Layer):
    """Scores each item of a history by how often, how lately and by whom it was taken.

    For a user's item with events of ages a_j, x holds `log(1 + n)` of all events and of all events
    of the user, `log(1 + sum_j exp(-a_j / t))` for t of 7, 30, 90 and 365 days, and
    `log(1 + a) / 4` of the latest and of the first event. The score is linear in x plus an MLP of x
    and the item's vector; it is zero at the start. Frequency and recency are what repeat
    consumption follows (Anderson et al., WWW 2014); the item's vector tells consumables from what
    is bought once.

    Args:
      hidden: units of the MLP.

    Input: `vectors` `[H, d]` float, of which each item's mean counts, `items` `[H]` int32 item
      rows, `rows` `[H]` int32 batch rows, and `ages` `[H]` float days of the events.
    Output: pairs `[P, 2]` int32 (batch row, item row), distinct, and their scores `[P]` float32.
    """

    def __init__(self, hidden: int = 16, **kwargs):
        super().__init__(autocast=False, **({"dtype": "float32"} | kwargs))
        self.units = hidden
        self.linear = keras.layers.Dense(
            1, kernel_initializer="zeros", dtype="float32", name="linear"
        )
        self.hidden = keras.layers.Dense(hidden, "relu", dtype="float32", name="hidden")
        self.last = keras.layers.Dense(
            1, kernel_initializer="zeros", use_bias=False, dtype="float32", name="last"
        )

    def call(self, vectors, items, rows, ages):
        vectors, ages = tf.cast(vectors, tf.float32), tf.cast(ages, tf.float32)
        codes = tf.cast(rows, tf.int64) * _PAIR + tf.cast(items, tf.int64)
        # An event of nobody comes first, as ONNX has no minima and maxima of no events.
        ages = tf.pad(tf.maximum(ages, 0.0), [[1, 0]])
        one = tf.pad(tf.ones_like(ages[1:]), [[1, 0]])
        distinct, place = tf.unique(tf.concat([[tf.constant(-1, tf.int64)], codes], 0))
        count = tf.shape(distinct)[0]
        rate = tf.constant([0.0, *(1 / days for days in _DECAYS)])
        sums = tf.math.unsorted_segment_sum(tf.exp(-ages[:, None] * rate), place, count)[1:]
        latest, first = (
            tf.math.log1p(of_segments(ages, place, count)[1:]) / 4
            for of_segments in (tf.math.unsorted_segment_min, tf.math.unsorted_segment_max)
        )
        # In float32, as ONNX has no maxima of integers.
        owner = tf.pad(tf.cast(rows, tf.float32), [[1, 0]])
        owner = tf.cast(tf.math.unsorted_segment_max(owner, place, count)[1:], tf.int32)
        users = tf.reduce_max(tf.concat([rows, [-1]], 0)) + 2
        of_user = tf.math.unsorted_segment_sum(one, tf.pad(rows, [[1, 0]]), users)
        own = tf.gather(of_user, owner)
        x = tf.concat([tf.math.log1p(sums), tf.stack([tf.math.log1p(own), latest, first], 1)], 1)
        # All events of an item have the same vector, unless their features make them differ.
        vector = tf.pad(vectors, [[1, 0], [0, 0]])
        vector = tf.math.unsorted_segment_sum(vector, place, count)[1:] / sums[:, :1]
        scores = self.linear(x) + self.last(self.hidden(tf.concat([x, vector], 1)))
        item = tf.cast(distinct[1:] - tf.cast(owner, tf.int64) * _PAIR, tf.int32)
        return tf.stack([owner, item], 1), scores[:, 0]

    def get_config(self):
        return super().get_config() | {"hidden": self.units}
