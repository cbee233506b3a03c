"""Negative log-likelihood of grades under a cumulative link."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf

_LEAST_GAP = 1e-6


@keras.utils.register_keras_serializable("tfrec_fusion")
class CumulativeLink(keras.losses.Loss):
    """Loss of a grade y whose model gives the logits z_k of y > k: `-log P(y)`.

    `P(y = k) = sigmoid(z_k-1) - sigmoid(z_k)`, computed in log space as
    `sigmoid(z_k-1) sigmoid(-z_k) (1 - exp(z_k - z_k-1))`.

    Args:
      lowest: the grade below all logits.

    Input: grades `[n, 1]`, whole numbers from `lowest`; logits `[n, K]` float, descending.
    Output: `[n]` float32, and the mean if called.

    Example:
      >>> loss = CumulativeLink()
      >>> loss(tf.constant([[1.0]]), tf.math.log([[4.0, 0.25]])).numpy().round(4)  # -log(.8 - .2)
      np.float32(0.5108)
    """

    def __init__(self, lowest: int = 0, reduction="auto", name=None):
        super().__init__(reduction, name)
        self.lowest = lowest

    def call(self, y_true, y_pred):
        logits = tf.cast(y_pred, tf.float32)
        gaps = tf.maximum(logits[:, :-1] - logits[:, 1:], _LEAST_GAP)
        log_p = tf.pad(tf.math.log_sigmoid(logits), [[0, 0], [1, 0]])
        log_p += tf.pad(tf.math.log_sigmoid(-logits), [[0, 0], [0, 1]])
        log_p += tf.pad(tf.math.log(-tf.math.expm1(-gaps)), [[0, 0], [1, 1]])
        grades = tf.cast(tf.reshape(y_true, [-1]), tf.int32) - self.lowest
        return -tf.gather(log_p, grades, batch_dims=1)

    def get_config(self):
        return super().get_config() | {"lowest": self.lowest}
