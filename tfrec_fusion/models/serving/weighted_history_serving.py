"""Scoring graph of models whose user vector is a weighted sum of item vectors."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing

_LEAST = 1e-12  # minimum length of a vector, against division by 0


class WeightedHistoryServing(DotProductServing):
    """Scores by the dot product with the normalised weighted sum of the history's vectors.

    Args:
      vectors: `[N, D]` float32.
      weights: `[N]` float32, weight of each item in a history.
      disliked: `[n_users, N]`, 1 for the items to subtract from a known user, also if the request
        gives a history; None for none.
      penalty: weight of the subtracted items.
      precision: precision of the vectors, see `StoredItems`.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        weights: np.ndarray,
        disliked: scipy.sparse.csr_matrix | None,
        penalty: float,
        precision: str,
    ):
        nothing = np.zeros(vectors.shape[1], np.float32)
        super().__init__(self._vectors, vectors, nothing, vectors.shape[1], precision)
        self.weights = tf.Variable(weights, trainable=False, name="history_weights")
        self.penalty, self.disliked = penalty, None
        if disliked is not None:
            # The last row is that of unknown users.
            splits = np.append(disliked.indptr, disliked.indptr[-1]).astype(np.int32)
            self.disliked = tf.Variable(
                disliked.indices.astype(np.int32), trainable=False, name="disliked"
            )
            self.splits = tf.Variable(splits, trainable=False, name="disliked_splits")

    def _vectors(self, users, past, items, positions, ages):
        count = tf.shape(users)[0]
        total = self._sums(past, items, positions, count)
        if self.disliked is not None:
            rows = tf.where(users < 0, tf.shape(self.splits)[0] - 2, users)
            begin = tf.gather(self.splits, rows)
            lengths = tf.gather(self.splits, rows + 1) - begin
            owners = tf.repeat(tf.range(count), lengths)
            first = tf.gather(begin - tf.cumsum(lengths, exclusive=True), owners)
            items = tf.gather(self.disliked, tf.range(tf.size(owners)) + first)
            total -= self.penalty * self._sums(self.past(items), items, owners, count)
        return total / tf.maximum(tf.norm(total, axis=1, keepdims=True), _LEAST)

    def _sums(self, vectors, items, positions, count) -> tf.Tensor:
        weighted = vectors * tf.gather(self.weights, items)[:, None]
        return tf.math.unsorted_segment_sum(weighted, positions, count)
