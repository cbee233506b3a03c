"""Dot products of all pairs of fields."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class DotProducts(keras.layers.Layer):
    """Computes the dot products of all pairs of different fields, in float32.

    The order of the pairs (i, j), j < i, is (1, 0), (2, 0), (2, 1), ..., as in the layer
    `DotInteraction` of TFRS. That one takes lists of `[B, width]` tensors only, and selects the
    pairs by a mask of the size of all products.

    Input: `[..., fields, width]` float.
    Output: `[..., fields * (fields - 1) / 2]` float32.

    Example:
      >>> DotProducts()(tf.constant([[[1.0, 0], [2, 1], [3, 5]]])).numpy().tolist()
      [[2.0, 3.0, 11.0]]
    """

    def call(self, fields):
        count = fields.shape[-2]
        products = tf.cast(tf.matmul(fields, fields, transpose_b=True), tf.float32)
        flat = tf.reshape(products, tf.concat([tf.shape(fields)[:-2], [count * count]], 0))
        rows, columns = np.tril_indices(count, -1)
        return tf.gather(flat, tf.constant(rows * count + columns, tf.int32), axis=-1)
