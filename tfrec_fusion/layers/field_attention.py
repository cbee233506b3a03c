"""Interacting layer of AutoInt."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.causal_attention import check_heads


@keras.utils.register_keras_serializable("tfrec_fusion")
class FieldAttention(keras.layers.Layer):
    """Self-attention of fields: `relu(concat_h softmax(Q_h K_h') V_h + W x)`, all maps linear.

    Song et al., "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural
    Networks", CIKM 2019. As in the paper and DeepCTR-Torch there are no biases, and `W` maps the
    residual even where the widths are equal; FuxiCTR then leaves W out.

    Args:
      dim: columns of the output, a multiple of `heads`.
      heads: number of heads.
      scaled: whether logits are divided by the root of a head's columns; the paper does not.

    Input: `[..., fields, width]` float.
    Output: `[..., fields, dim]`.

    Raises:
      ValueError: sizes below 1, or `dim` is no multiple of `heads`.

    Example:
      >>> FieldAttention(4, 2)(tf.ones([2, 7, 3])).shape
      TensorShape([2, 7, 4])
    """

    def __init__(self, dim: int, heads: int = 2, scaled: bool = False, **kwargs):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.options = {"dim": dim, "heads": heads, "scaled": bool(scaled)}
        # One product for the four maps.
        self.maps = keras.layers.Dense(
            4 * dim, use_bias=False, name="maps", dtype=self.dtype_policy
        )

    def call(self, fields):
        dim, heads = self.options["dim"], self.options["heads"]
        query, key, value, residual = tf.split(self.maps(fields), 4, -1)
        # [..., heads, fields, d]; onnxruntime crashes in an Einsum of nothing, as of an empty list.
        query, key, value = (tf.stack(tf.split(one, heads, -1), -3) for one in (query, key, value))
        logits = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32)
        if self.options["scaled"]:
            logits *= (dim // heads) ** -0.5
        shares = tf.cast(tf.nn.softmax(logits), value.dtype)
        mixed = tf.concat(tf.unstack(tf.matmul(shares, value), heads, axis=-3), -1)
        return tf.nn.relu(mixed + residual)

    def get_config(self):
        return super().get_config() | self.options
