"""Transformer block of SASRec."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers.causal_attention import CausalAttention
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class SASRecBlock(keras.layers.Layer):
    """Causal attention and a feed-forward network of one hidden layer of `dim` units.

    `q = LN(x)`, `y = q + attention(q, x)`, `z = LN(y)` and the output `z + W_2 relu(W_1 z)`, as in
    the authors' code (Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018).

    Args:
      dim: columns of the vectors, a multiple of `heads`.
      heads: number of attention heads.
      dropout: rate on attention weights, hidden units and the output.

    Input: `[B, L, dim]` float and `present` `[B, L]` bool.
    Output: `[B, L, dim]`.
    """

    def __init__(self, dim: int, heads: int = 1, dropout: float = 0.2, **kwargs):
        super().__init__(**kwargs)
        self.options = {"dim": dim, "heads": heads, "dropout": dropout}
        policy = {"dtype": self.dtype_policy}
        self.attention = CausalAttention(dim, heads, dropout, name="attention", **policy)
        self.query_norm, self.hidden_norm = (
            keras.layers.LayerNormalization(epsilon=1e-5, name=name, **policy)
            for name in ("query_norm", "hidden_norm")
        )
        self.hidden = keras.layers.Dense(dim, "relu", name="hidden", **policy)
        self.output_map = keras.layers.Dense(dim, name="output", **policy)
        self.hidden_dropout, self.output_dropout = (
            ResumableDropout(dropout, name=name, **policy)
            for name in ("hidden_dropout", "output_dropout")
        )

    def call(self, sequences, present, training=None):
        query = self.query_norm(sequences)
        sequences = query + self.attention(query, sequences, present, training=training)
        normed = self.hidden_norm(sequences)
        hidden = self.hidden_dropout(self.hidden(normed), training=training)
        return normed + self.output_dropout(self.output_map(hidden), training=training)

    def get_config(self):
        return super().get_config() | self.options
