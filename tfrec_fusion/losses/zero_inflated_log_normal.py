"""Negative log-likelihood of amounts that are often zero."""

from __future__ import annotations

import math

from tfrec_fusion._compat import keras, tf

_LEAST_SCALE = 1.1920929e-07**0.5  # as in the authors' code


@keras.utils.register_keras_serializable("tfrec_fusion")
class ZeroInflatedLogNormal(keras.losses.Loss):
    """Loss of an amount that is 0 with probability 1 - p, and else log-normal.

    From the outputs (a, mu, b), with p = sigmoid(a) and sigma = softplus(b):

        -log(1 - p)                                                                 if y = 0
        -log(p) + log(y sigma sqrt(2 pi)) + (log(y) - mu)^2 / (2 sigma^2)           if y > 0

    (Wang et al., "A Deep Probabilistic Model for Customer Lifetime Value Prediction", 2019.)

    Input: amounts `[n, 1]` of at least 0; outputs `[n, 3]` float.
    Output: `[n]` float32, and the mean if called.

    Example:
      >>> loss = ZeroInflatedLogNormal()
      >>> loss(tf.constant([[0.0]]), tf.constant([[0.0, 1.0, 1.0]])).numpy().round(4)  # log 2
      np.float32(0.6931)
    """

    def call(self, y_true, y_pred):
        amounts = tf.cast(tf.reshape(y_true, [-1]), tf.float32)
        logit, mean, _ = tf.unstack(tf.cast(y_pred, tf.float32), axis=-1)
        paid = amounts > 0
        logs = tf.math.log(tf.where(paid, amounts, 1.0))
        scale = log_normal_scale(y_pred)
        of_amount = logs + tf.math.log(scale) + 0.5 * math.log(2 * math.pi)
        of_amount += 0.5 * ((logs - mean) / scale) ** 2
        of_zero = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(paid, tf.float32), logit)
        return of_zero + tf.where(paid, of_amount, 0.0)


def log_normal_scale(outputs: tf.Tensor) -> tf.Tensor:
    """Returns sigma `[...]` float32 of outputs `[..., 3]`."""
    return tf.maximum(tf.nn.softplus(tf.cast(outputs[..., 2], tf.float32)), _LEAST_SCALE)
