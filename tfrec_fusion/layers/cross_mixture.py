"""Mixture of low-rank cross layers, of DCN-Mix."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count


@keras.utils.register_keras_serializable("tfrec_fusion")
class CrossMixture(keras.layers.Layer):
    """Mixes low-rank crosses by a gate: `sum_e g_e x_0 * (U_e h(C_e h(V_e x)) + b) + x`.

    h is tanh and `g = softmax(G x)` (Wang et al., "DCN V2", WWW 2021, section 3.2).

    Args:
      rank: rank of an expert's cross.
      experts: number of experts.

    Input: `x0` and `x` `[..., width]` float.
    Output: `[..., width]`.

    Raises:
      ValueError: numbers below 1.

    Example:
      >>> CrossMixture(2, 4)(tf.ones([3, 8]), tf.ones([3, 8])).shape
      TensorShape([3, 8])
    """

    def __init__(self, rank: int, experts: int = 4, **kwargs):
        super().__init__(**kwargs)
        check_count("rank", rank)
        check_count("experts", experts)
        self.rank, self.experts = rank, experts

    def build(self, input_shape):
        width, joint = input_shape[-1], self.rank * self.experts
        # Glorot's limit of one square matrix; Keras would count the experts as its inputs.
        limit = (3 / self.rank) ** 0.5
        square = keras.initializers.RandomUniform(-limit, limit)
        self.down = self.add_weight("down", (width, joint), initializer="glorot_uniform")
        self.inner = self.add_weight(
            "inner", (self.experts, self.rank, self.rank), initializer=square
        )
        self.up = self.add_weight("up", (joint, width), initializer="glorot_uniform")
        self.bias = self.add_weight("bias", (width,), initializer="zeros")
        self.gate = keras.layers.Dense(
            self.experts, use_bias=False, name="gate", dtype=self.dtype_policy
        )
        super().build(input_shape)

    def call(self, x0, x):
        x = tf.cast(x, x0.dtype)
        shape = tf.concat([tf.shape(x)[:-1], [self.experts, self.rank]], 0)
        low = tf.reshape(tf.tanh(tf.tensordot(x, self.down, 1)), shape)
        # A product and no einsum: onnxruntime crashes in one of nothing, as of an empty list.
        low = tf.tanh(tf.squeeze(tf.matmul(tf.expand_dims(low, -2), self.inner), -2))
        shares = tf.nn.softmax(tf.cast(self.gate(x), tf.float32))
        # The shares sum to 1, so the mixture of the experts' outputs is one product.
        mixed = low * tf.cast(shares, low.dtype)[..., None]
        shape = tf.concat([tf.shape(x)[:-1], [self.experts * self.rank]], 0)
        return x0 * (tf.tensordot(tf.reshape(mixed, shape), self.up, 1) + self.bias) + x

    def get_config(self):
        return super().get_config() | {"rank": self.rank, "experts": self.experts}
