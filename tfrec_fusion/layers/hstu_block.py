"""Block of HSTU."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.causal_attention import causal, check_heads, joined_heads, split_heads
from tfrec_fusion.layers.relative_bias import RelativeBias
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class HSTUBlock(keras.layers.Layer):
    """Pointwise causal attention with `RelativeBias`, gated.

    `[U, V, Q, K] = silu(W LN(x))`, `A = silu(Q K' + bias) / max_len` without a softmax, so that the
    strength of a preference is kept, and the output is `x + W_o (U * LN(A V)) + b_o`. Source: Zhai
    et al., "Actions Speak Louder than Words", ICML 2024.

    Args:
      dim: columns of the vectors, a multiple of `heads`.
      heads: number of heads.
      dropout: rate on the gated vectors.
      max_len: largest number of positions.

    Input: `[B, L, dim]` float, `present` `[B, L]` bool and `ages` `[B, L]` float32 days.
    Output: `[B, L, dim]`.
    """

    def __init__(self, dim: int, heads: int = 1, dropout: float = 0.2, max_len: int = 50, **kwargs):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.options = {"dim": dim, "heads": heads, "dropout": dropout, "max_len": max_len}
        policy = {"dtype": self.dtype_policy}
        self.bias = RelativeBias(max_len, name="bias")
        self.parts = keras.layers.Dense(4 * dim, "silu", use_bias=False, name="parts", **policy)
        self.output_map = keras.layers.Dense(dim, name="output", **policy)
        self.input_norm, self.read_norm = (
            keras.layers.LayerNormalization(epsilon=1e-6, name=name, **policy)
            for name in ("input_norm", "read_norm")
        )
        self.dropout = ResumableDropout(dropout, name="dropout", **policy)

    def call(self, sequences, present, ages, training=None):
        heads = self.options["heads"]
        gate, *parts = tf.split(self.parts(self.input_norm(sequences)), 4, axis=2)
        value, query, key = (split_heads(part, heads) for part in parts)
        logits = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32)
        weights = tf.nn.silu(logits + self.bias(ages)[:, None]) / self.options["max_len"]
        weights = tf.where(causal(present)[:, None], weights, 0.0)
        read = joined_heads(tf.matmul(tf.cast(weights, value.dtype), value))
        gated = self.dropout(gate * self.read_norm(read), training=training)
        return sequences + self.output_map(gated)

    def get_config(self):
        return super().get_config() | self.options
