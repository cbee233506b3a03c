"""Transformer block of LiGR."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.causal_attention import CausalAttention
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class LiGRBlock(keras.layers.Layer):
    """Pre-norm causal attention and SwiGLU network, each added through a gate of its input.

    `y = x + sigmoid(G_1 x) * attention(LN(x))` and the output
    `y + sigmoid(G_2 y) * W_3 (silu(W_1 LN(y)) * W_2 LN(y))`. Source: "From Features to
    Transformers" (Hertel et al., 2025), in the form of eSASRec (Tikhonovich et al., RecSys 2025).

    Args:
      dim: columns of the vectors, a multiple of `heads`.
      heads: number of attention heads.
      dropout: rate on attention weights, hidden units and both outputs.
      widening: hidden units of the network, in multiples of `dim`.

    Input: `[B, L, dim]` float and `present` `[B, L]` bool.
    Output: `[B, L, dim]`.
    """

    def __init__(self, dim: int, heads: int = 1, dropout: float = 0.2, widening: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.options = {"dim": dim, "heads": heads, "dropout": dropout, "widening": widening}
        policy = {"dtype": self.dtype_policy}
        self.attention = CausalAttention(dim, heads, dropout, name="attention", **policy)
        self.attention_norm, self.hidden_norm = (
            keras.layers.LayerNormalization(epsilon=1e-5, name=name, **policy)
            for name in ("attention_norm", "hidden_norm")
        )
        self.attention_gate, self.hidden_gate = (
            keras.layers.Dense(dim, "sigmoid", name=name, **policy)
            for name in ("attention_gate", "hidden_gate")
        )
        self.hidden, self.linear = (
            keras.layers.Dense(widening * dim, use_bias=False, name=name, **policy)
            for name in ("hidden", "linear")
        )
        self.output_map = keras.layers.Dense(dim, use_bias=False, name="output", **policy)
        self.attention_dropout, self.hidden_dropout, self.output_dropout = (
            ResumableDropout(dropout, name=name, **policy)
            for name in ("attention_dropout", "hidden_dropout", "output_dropout")
        )

    def call(self, sequences, present, training=None):
        normed = self.attention_norm(sequences)
        read = self.attention(normed, normed, present, training=training)
        read = self.attention_dropout(read, training=training)
        sequences += self.attention_gate(sequences) * read
        normed = self.hidden_norm(sequences)
        hidden = tf.nn.silu(self.hidden(normed)) * self.linear(normed)
        added = self.output_map(self.hidden_dropout(hidden, training=training))
        added = self.output_dropout(added, training=training)
        return sequences + self.hidden_gate(sequences) * added

    def get_config(self):
        return super().get_config() | self.options
