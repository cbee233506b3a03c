"""Transformer block of BST over a history and the items to rank."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.causal_attention import causal, check_heads, joined_heads, split_heads
from tfrec_fusion.layers.checks import check_rate
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class BehaviorBlock(keras.layers.Layer):
    """Post-LN transformer block in which items read a history, and events the ones before them.

    `y = LN(x + attention(x))` and `LN(y + W_2 leaky_relu(W_1 y + b_1) + b_2)` (Chen et al.,
    "Behavior Sequence Transformer for E-commerce Recommendation in Alibaba", DLP-KDD 2019). Each
    item reads all events and itself, as the last place of a sequence would. Events do not read the
    items, so a history is encoded once for all items of a row.

    Args:
      dim: columns of the vectors, a multiple of `heads`.
      heads: number of attention heads.
      dropout: rate in [0, 1) after the attention and after the network.

    Input: `items` `[B, N, dim]` and `history` `[B, L, dim]` float, `present` `[B, L]` bool.
    Output: a tuple of the items `[B, N, dim]` and the history `[B, L, dim]`.

    Raises:
      ValueError: sizes below 1, `dim` is no multiple of `heads`, or a rate outside [0, 1).

    Example:
      >>> items, history = tf.ones([2, 3, 4]), tf.ones([2, 5, 4])
      >>> [tuple(one.shape) for one in BehaviorBlock(4, 2)(items, history, tf.ones([2, 5]) > 0)]
      [(2, 3, 4), (2, 5, 4)]
    """

    def __init__(self, dim: int, heads: int = 2, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        check_rate(dropout)
        self.options = {"dim": dim, "heads": heads, "dropout": dropout}
        self.heads, self.head_dim = heads, dim // heads
        policy = {"dtype": self.dtype_policy}
        self.query, self.key, self.value, self.output_map, self.hidden, self.last = (
            keras.layers.Dense(dim, name=name, **policy)
            for name in ("query", "key", "value", "output", "hidden", "last")
        )
        self.attention_norm, self.hidden_norm = (
            keras.layers.LayerNormalization(epsilon=1e-5, name=name, **policy)
            for name in ("attention_norm", "hidden_norm")
        )
        self.attention_dropout, self.hidden_dropout = (
            ResumableDropout(dropout, name=name, **policy)
            for name in ("attention_dropout", "hidden_dropout")
        )

    def call(self, items, history, present, training=None):
        items, history = (tf.cast(one, self.compute_dtype) for one in (items, history))
        keys, values = self._heads(self.key, history), self._heads(self.value, history)
        logits = self._logits(self._heads(self.query, history), keys)
        # Padding reads itself, so that no softmax is over nothing.
        own = tf.eye(tf.shape(history)[1], dtype=tf.bool)[None]
        readable = causal(present) | own
        shares = tf.nn.softmax(tf.where(tf.expand_dims(readable, 1), logits, -1e9))
        events = tf.matmul(tf.cast(shares, values.dtype), values)

        asked = self._heads(self.query, items)
        own_key, own_value = self._heads(self.key, items), self._heads(self.value, items)
        logits = self._logits(asked, keys)
        logits = tf.where(tf.expand_dims(tf.expand_dims(present, 1), 1), logits, -1e9)
        own_logit = tf.reduce_sum(tf.cast(asked * own_key, tf.float32), -1, keepdims=True)
        own_logit *= self.head_dim**-0.5
        shares = tf.cast(tf.nn.softmax(tf.concat([logits, own_logit], -1)), values.dtype)
        read = tf.matmul(shares[..., :-1], values) + shares[..., -1:] * own_value
        return self._after(items, read, training), self._after(history, events, training)

    def _heads(self, layer, values):
        return split_heads(layer(values), self.heads)

    def _logits(self, query, key):
        logits = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32)
        return logits * self.head_dim**-0.5

    def _after(self, values, read, training):
        read = self.attention_dropout(self.output_map(joined_heads(read)), training=training)
        values = self.attention_norm(values + read)
        hidden = self.last(tf.nn.leaky_relu(self.hidden(values), 0.01))
        return self.hidden_norm(values + self.hidden_dropout(hidden, training=training))

    def get_config(self):
        return super().get_config() | self.options
