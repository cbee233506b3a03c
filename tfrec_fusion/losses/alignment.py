"""Contrastive loss between two views of the same rows."""

from __future__ import annotations

import math

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.masking import MASKED

_SHARPEST = 0.01  # the least learned temperature


@keras.utils.register_keras_serializable("tfrec_fusion")
class InfoNCE(keras.layers.Layer):
    """Symmetric contrastive loss of two views, `(l(a, b) + l(b, a)) / 2`, with in-batch negatives.

    `l(a, b) = mean_i(log sum_j exp(a_i.b_j / tau) - a_i.b_i / tau)` on vectors scaled to length 1;
    i and j run over the present rows. Source: InfoNCE (van den Oord et al., 2018) between ids and
    texts as in RLMRec-Con (Ren et al., WWW 2024), tau .2.

    Args:
      temperature: tau, or its initial value.
      learned: whether tau is trained, by its logarithm, as in CLIP (Radford et al., ICML 2021);
        it stays at .01 or more.

    Input: `first` and `second` `[M, d]` float; `present` `[M]` bool or None for all.
    Output: scalar float32; 0 if no row is present.

    Raises:
      ValueError: the temperature is not positive.

    Example:
      >>> InfoNCE(1.0)(tf.eye(2), tf.eye(2)).numpy().round(4)  # log(e + 1) - 1
      np.float32(0.3133)
    """

    def __init__(self, temperature: float = 0.2, learned: bool = False, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        if temperature <= 0:
            raise ValueError(f"temperature must be positive. Received: {temperature}")
        self.temperature, self.learned = temperature, learned

    def build(self, input_shape):
        if self.learned:
            start = keras.initializers.Constant(math.log(self.temperature))
            self.log_temperature = self.add_weight(
                "log_temperature", (), initializer=start, experimental_autocast=False
            )
        super().build(input_shape)

    def call(self, first, second, present=None):
        first = tf.math.l2_normalize(tf.cast(first, tf.float32), 1)
        second = tf.math.l2_normalize(tf.cast(second, tf.float32), 1)
        if present is None:
            present = tf.ones(tf.shape(first)[:1], tf.bool)
        temperature = self.temperature
        if self.learned:
            temperature = tf.maximum(tf.exp(tf.cast(self.log_temperature, tf.float32)), _SHARPEST)
        logits = tf.matmul(first, second, transpose_b=True) / temperature
        own = tf.linalg.diag_part(logits)
        logits = tf.where(present[:, None] & present[None, :], logits, MASKED)
        both = tf.reduce_logsumexp(logits, 0) + tf.reduce_logsumexp(logits, 1)
        weight = tf.cast(present, tf.float32)
        loss = tf.where(present, both / 2 - own, 0.0)
        return tf.math.divide_no_nan(tf.reduce_sum(loss), tf.reduce_sum(weight))

    def get_config(self):
        own = {"temperature": self.temperature, "learned": self.learned}
        return super().get_config() | own
