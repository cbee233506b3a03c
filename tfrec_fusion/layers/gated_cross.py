"""Gated cross layer of GDCN."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class GatedCross(keras.layers.Layer):
    """Crosses features behind a gate: `x_0 * (W x + b) * sigmoid(V x) + x`.

    Wang et al., "Towards Deeper, Lighter and Interpretable Cross Network for CTR Prediction",
    CIKM 2023.

    Input: `x0` and `x` `[..., width]` float.
    Output: `[..., width]`.

    Example:
      >>> GatedCross()(tf.ones([3, 8]), tf.ones([3, 8])).shape
      TensorShape([3, 8])
    """

    def build(self, input_shape):
        policy = {"dtype": self.dtype_policy}
        self.cross = keras.layers.Dense(input_shape[-1], name="cross", **policy)
        self.gate = keras.layers.Dense(
            input_shape[-1], "sigmoid", use_bias=False, name="gate", **policy
        )
        super().build(input_shape)

    def call(self, x0, x):
        x = tf.cast(x, x0.dtype)
        return x0 * self.cross(x) * self.gate(x) + x
