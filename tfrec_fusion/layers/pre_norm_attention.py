"""Pre-LN multi-head attention with a residual connection."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class PreNormAttention(keras.layers.Layer):
    """Attends from query to memory: `q + W_o attention(W_q LN(q), W_k LN(m), W_v LN(m))`.

    Each softmax runs over the present memory vectors and one extra zero value with logit zero. So a
    memory of one vector still gets a trained weight, and an empty memory adds nothing. W_o is
    initialised to zero, so the layer starts as the identity (pre-LN: Xiong et al., ICML 2020).

    Args:
      dim: columns of the vectors.
      heads: number of heads, of `max(dim // heads, 1)` columns each.

    Input: `query` `[..., Q, dim]`, `memory` `[..., K, dim]` float, `present` `[..., K]` bool.
    Output: `[..., Q, dim]`.

    Raises:
      ValueError: sizes below 1.
    """

    def __init__(self, dim: int, heads: int = 4, **kwargs):
        super().__init__(**kwargs)
        if dim < 1 or heads < 1:
            raise ValueError(f"dim and heads must be at least 1. Received: {dim}, {heads}")
        self.dim, self.heads = dim, heads
        self.head_dim = max(dim // heads, 1)

        policy = {"dtype": self.dtype_policy}

        def inner(name):
            return keras.layers.Dense(heads * self.head_dim, use_bias=False, name=name, **policy)

        self.query, self.key, self.value = inner("query"), inner("key"), inner("value")
        self.output_map = keras.layers.Dense(
            dim, kernel_initializer="zeros", name="output", **policy
        )
        self.query_norm = keras.layers.LayerNormalization(name="query_norm", **policy)
        self.memory_norm = keras.layers.LayerNormalization(name="memory_norm", **policy)

    def call(self, query, memory, present):
        query = tf.cast(query, self.compute_dtype)
        memory = self.memory_norm(tf.cast(memory, self.compute_dtype))
        asked = self._heads(self.query(self.query_norm(query)))
        key, value = self._heads(self.key(memory)), self._heads(self.value(memory))
        logits = tf.cast(tf.einsum("...qhd,...khd->...hqk", asked, key), tf.float32)
        logits *= self.head_dim**-0.5
        logits = tf.where(present[..., None, None, :], logits, -1e9)
        nothing = tf.zeros_like(logits[..., :1])
        shares = tf.nn.softmax(tf.concat([logits, nothing], -1))[..., :-1]
        mixed = tf.einsum("...hqk,...khd->...qhd", tf.cast(shares, value.dtype), value)
        shape = tf.concat([tf.shape(query)[:-1], [self.heads * self.head_dim]], 0)
        return query + self.output_map(_with_width(mixed, shape, self.heads * self.head_dim))

    def _heads(self, vectors):
        shape = tf.concat([tf.shape(vectors)[:-1], [self.heads, self.head_dim]], 0)
        return tf.reshape(vectors, shape)

    def get_config(self):
        return super().get_config() | {"dim": self.dim, "heads": self.heads}


def _with_width(vectors, shape, width: int):
    """Reshapes `vectors` to the dynamic `shape`, with the static last size `width`."""
    vectors = tf.reshape(vectors, shape)
    return tf.ensure_shape(vectors, [*vectors.shape[:-1], width] if vectors.shape.rank else None)
