"""Trained vectors of positions, counted from the end of a sequence."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class InversePosition(keras.layers.Layer):
    """Adds a trained vector of each position, of which the last one is number 0.

    Args:
      max_len: largest number of positions.
      dim: columns of the vectors.

    Input: `[B, L, dim]` float, L at most `max_len`. Output: the same shape.
    """

    def __init__(self, max_len: int, dim: int, **kwargs):
        super().__init__(**kwargs)
        self.sizes = {"max_len": max_len, "dim": dim}
        start = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight("positions", (max_len, dim), initializer=start)

    def call(self, vectors):
        own = tf.cast(self.table, self.compute_dtype)[: tf.shape(vectors)[1]]
        return tf.cast(vectors, self.compute_dtype) + tf.reverse(own, [0])

    def get_config(self):
        return super().get_config() | self.sizes
