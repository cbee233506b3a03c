"""Exact top-k by dot product, with some pairs left out."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras, tf


def exact_top_k(queries, item_vectors, k, masked_pairs) -> tuple[tf.Tensor, tf.Tensor]:
    """The k items with the largest `queries . item_vectors`, best first.

    A masked pair is set to -inf before the selection, so it never takes a place. Equal scores keep
    the order of the rows: the lower row comes first. Places that no item is left for hold row -1
    and the lowest finite number of the scores' dtype (which, unlike -inf, JSON can say).

    Args:
      queries: `[B, D]` float.
      item_vectors: `[N, D]` of the same dtype.
      k: int scalar, 0 or more; may exceed N.
      masked_pairs: `[P, 2]` int, (position in the batch, item row) of what must not come back;
        pairs with a negative number are ignored and repeated ones do no harm.

    Returns:
      Scores `[B, k]` in the queries' dtype and rows `[B, k]` int32.
    """
    scores = tf.matmul(queries, item_vectors, transpose_b=True)
    pairs = tf.boolean_mask(masked_pairs, tf.reduce_all(masked_pairs >= 0, 1))
    hidden = tf.fill(tf.shape(pairs)[:1], tf.constant(-np.inf, scores.dtype))
    scores = tf.tensor_scatter_nd_update(scores, pairs, hidden)
    found = tf.minimum(k, tf.shape(scores)[1])
    best, rows = tf.math.top_k(scores, found)
    left = best > -np.inf
    best = tf.where(left, best, scores.dtype.min)
    rows = tf.where(left, rows, -1)
    beyond = [[0, 0], [0, k - found]]
    return (
        tf.pad(best, beyond, constant_values=scores.dtype.min),
        tf.pad(rows, beyond, constant_values=-1),
    )


@keras.utils.register_keras_serializable("tfrec_fusion")
class ExactTopK(keras.layers.Layer):
    """`exact_top_k` over item vectors that the layer holds in a non-trainable variable.

    Args:
      item_vectors: `[N, D]` float32.

    Input: `queries` `[B, D]` float32, `k` int scalar, `masked_pairs` `[P, 2]` int or None.
    Output: scores `[B, k]` float32 and rows `[B, k]` int32, -1 where no item is left.

    Raises:
      ValueError: `item_vectors` is not a matrix of finite numbers.

    Example:
      >>> scores, rows = ExactTopK([[1.0], [3.0], [2.0]])(tf.constant([[1.0]]), 2, [[0, 1]])
      >>> rows.numpy().tolist()
      [[2, 0]]
    """

    def __init__(self, item_vectors, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **kwargs)
        values = np.asarray(item_vectors, np.float32)
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ValueError(
                "item_vectors must be a finite matrix [n_items, dim]. Received: "
                f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite"
            )
        self.item_vectors = self.add_weight(
            "item_vectors",
            values.shape,
            initializer=lambda shape, dtype=None: tf.constant(values, dtype),
            trainable=False,
        )

    def call(self, queries, k, masked_pairs=None):
        if masked_pairs is None:
            masked_pairs = tf.zeros([0, 2], tf.int32)
        pairs = tf.convert_to_tensor(masked_pairs)
        return exact_top_k(queries, self.item_vectors, k, pairs)

    def get_config(self):
        config = super().get_config() | {"shape": list(self.item_vectors.shape)}
        del config["trainable"]
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(np.zeros(config.pop("shape"), np.float32), **config)
