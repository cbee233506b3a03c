"""Columns of labels, predictions and weights that streaming metrics read."""

from __future__ import annotations

from tfrec_fusion._compat import tf


def column(values) -> tf.Tensor:
    """Returns values `[n]` or `[n, 1]` as `[n]` float32.

    Example:
      >>> column([[1], [2]]).numpy()
      array([1., 2.], dtype=float32)
    """
    return tf.reshape(tf.cast(values, tf.float32), [-1])


def row_weights(weights, labels: tf.Tensor) -> tf.Tensor:
    """Returns the weights of the rows of `labels` as `[n]` float32, 1 without any.

    Example:
      >>> row_weights(None, tf.zeros([2])).numpy()
      array([1., 1.], dtype=float32)
    """
    return tf.ones_like(labels) if weights is None else column(weights)
