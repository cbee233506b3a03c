"""Dropout whose draws resume from a checkpoint."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.draws import add_draws, next_seed


@keras.utils.register_keras_serializable("tfrec_fusion")
class ResumableDropout(keras.layers.Layer):
    """Sets values to 0 with probability `rate` in training, and divides the others by `1 - rate`.

    Unlike Keras's layer, training resumed from a checkpoint draws what uninterrupted training
    would have drawn.

    Args:
      rate: in [0, 1).

    Input: any shape, float. Output: the same.

    Raises:
      ValueError: a rate outside [0, 1).
    """

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1). Received: {rate}")
        self.rate = rate
        if rate:
            self.draws = add_draws(self)

    def call(self, values, training=None):
        if not training or not self.rate:
            return values
        drawn = tf.random.stateless_uniform(tf.shape(values), next_seed(self.draws))
        scale = tf.cast(1 / (1 - self.rate), values.dtype)
        return tf.where(drawn >= self.rate, values * scale, tf.zeros([], values.dtype))

    def get_config(self):
        return super().get_config() | {"rate": self.rate}
