"""Multi-head attention to earlier positions."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class CausalAttention(keras.layers.Layer):
    """Multi-head attention in which a position reads itself and earlier present ones.

    `W_o concat_h softmax(Q_h K_h' / sqrt(d_h)) V_h + b_o` with `Q = W_q query + b_q` and K, V of
    `memory` (Vaswani et al., NeurIPS 2017).

    Args:
      dim: columns of the vectors, a multiple of `heads`.
      heads: number of heads.
      dropout: rate at which training drops attention weights.

    Input: `query` and `memory` `[B, L, dim]` float, `present` `[B, L]` bool: which positions of
      `memory` hold an event.
    Output: `[B, L, dim]`.

    Raises:
      ValueError: sizes below 1, or `dim` is no multiple of `heads`.
    """

    def __init__(self, dim: int, heads: int = 1, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.options = {"dim": dim, "heads": heads, "dropout": dropout}
        self.heads, self.head_dim = heads, dim // heads
        policy = {"dtype": self.dtype_policy}
        self.query, self.key, self.value, self.output_map = (
            keras.layers.Dense(dim, name=name, **policy)
            for name in ("query", "key", "value", "output")
        )
        self.dropout = ResumableDropout(dropout, name="dropout", **policy)

    def call(self, query, memory, present, training=None):
        asked, keys, values = (
            split_heads(layer(given), self.heads)
            for layer, given in ((self.query, query), (self.key, memory), (self.value, memory))
        )
        logits = tf.cast(tf.matmul(asked, keys, transpose_b=True), tf.float32)
        logits *= self.head_dim**-0.5
        logits = tf.where(causal(present)[:, None], logits, -1e9)
        shares = self.dropout(tf.cast(tf.nn.softmax(logits), values.dtype), training=training)
        return self.output_map(joined_heads(tf.matmul(shares, values)))

    def get_config(self):
        return super().get_config() | self.options


def check_heads(dim: int, heads: int) -> None:
    """Raises ValueError for sizes below 1, or if `dim` is no multiple of `heads`."""
    if dim < 1 or heads < 1 or dim % heads:
        raise ValueError(
            f"dim must be a multiple of heads, both at least 1. Received: {dim}, {heads}"
        )


def causal(present: tf.Tensor) -> tf.Tensor:
    """Returns which positions each position may read, `[B, L, L]` bool, from `[B, L]` bool."""
    length = tf.shape(present)[1]
    place = tf.range(length)
    return (place[:, None] >= place[None])[None] & present[:, None]


def split_heads(vectors: tf.Tensor, heads: int) -> tf.Tensor:
    """Turns `[B, L, heads * d]` into `[B, heads, L, d]`."""
    size = vectors.shape[-1] // heads
    shape = tf.concat([tf.shape(vectors)[:2], [heads, size]], 0)
    return tf.transpose(tf.reshape(vectors, shape), [0, 2, 1, 3])


def joined_heads(vectors: tf.Tensor) -> tf.Tensor:
    """Turns `[B, heads, L, d]` into `[B, L, heads * d]`."""
    heads, size = vectors.shape[1], vectors.shape[3]
    found = tf.transpose(vectors, [0, 2, 1, 3])
    return tf.reshape(found, tf.concat([tf.shape(found)[:2], [heads * size]], 0))
