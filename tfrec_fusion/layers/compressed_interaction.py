"""Compressed interaction network of xDeepFM."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import checked_units


@keras.utils.register_keras_serializable("tfrec_fusion")
class CompressedInteraction(keras.layers.Layer):
    """Explicit interactions of fields, one degree higher each layer, compressed to `maps` fields.

    `x^k_h = b_h + sum_ij W^k_hij x^0_i * x^{k-1}_j`; the output sums each `x^k_h` over its columns
    (Lian et al., "xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender
    Systems", KDD 2018). As in the paper's experiments and FuxiCTR there is no activation; DeepCTR
    applies ReLU, and passes on one half of a layer and sums up the other.

    Args:
      maps: number of fields h of each layer.

    Input: `[..., fields, width]` float.
    Output: `[..., sum(maps)]`.

    Raises:
      ValueError: no layer, or numbers below 1.

    Example:
      >>> CompressedInteraction([5, 4])(tf.ones([2, 7, 3])).shape
      TensorShape([2, 9])
    """

    def __init__(self, maps: Sequence[int] = (32, 32), **kwargs):
        super().__init__(**kwargs)
        self.maps = checked_units(maps, "maps", 1)

    def build(self, input_shape):
        fields = input_shape[-2]
        widths = [fields, *self.maps[:-1]]
        self.dense = [
            keras.layers.Dense(units, name=f"layer_{index}", dtype=self.dtype_policy)
            for index, units in enumerate(self.maps)
        ]
        for layer, width in zip(self.dense, widths, strict=True):
            layer.build(tf.TensorShape([None, fields * width]))
        super().build(input_shape)

    def call(self, fields):
        # The columns before the fields, so that a layer is one product over pairs of fields.
        first = last = tf.linalg.matrix_transpose(fields)
        pooled = []
        for layer in self.dense:
            pairs = first[..., :, None] * last[..., None, :]
            width = pairs.shape[-1] * pairs.shape[-2]
            shape = tf.concat([tf.shape(first)[:-1], [width]], 0)
            last = layer(tf.reshape(pairs, shape))
            pooled.append(tf.reduce_sum(last, -2))
        return tf.concat(pooled, -1)

    def get_config(self):
        return super().get_config() | {"maps": list(self.maps)}
