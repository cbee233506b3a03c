"""Scoring graph of user-based nearest neighbours."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.score_serving import ScoreServing
from tfrec_fusion.models.serving.sparse_rows import SparseRows, summed

SAME = np.float32(1 - 1e-4)
"""Least shared part of a training user's items at which all of them count as known."""


class UserUserServing(ScoreServing):
    """Finds the training users nearest to a history and adds up what they took.

    The arguments are those of `UserUser`. The weights of items stay float32, and so do comparisons;
    `precision` applies to the numbers of `taken` and `lent`.
    """

    def __init__(
        self,
        taken: scipy.sparse.csr_array,
        lent: scipy.sparse.csr_array,
        item_weights: np.ndarray,
        k: int,
        shrinkage: float,
        skips_known: bool,
        precision: str,
    ):
        super().__init__(taken.shape[1])
        squares = np.asarray(taken @ item_weights, np.float32)
        self.takers = SparseRows(taken.T.tocsr(), precision)
        self.lent = SparseRows(lent, precision)
        self.item_weights = tf.Variable(item_weights, trainable=False, name="item_weights")
        self.squares = tf.Variable(squares, trainable=False, name="user_squares")
        self._n_users, self._k = taken.shape[0], min(k, taken.shape[0])
        self._shrinkage, self._skips_known = shrinkage, skips_known

    def users(self, users, items, positions, ages):
        size = tf.shape(users)[0]
        weights = tf.gather(self.item_weights, items)
        shared = summed(self.takers, items, positions, [size, self._n_users], weights)
        own = tf.sqrt(tf.math.unsorted_segment_sum(weights, positions, size))
        length = own[:, None] * tf.sqrt(self.squares) + self._shrinkage
        similar = shared / tf.where(length > 0, length, 1.0)
        if self._skips_known:
            similar = tf.where(shared >= SAME * self.squares, 0.0, similar)
        best, neighbours = tf.math.top_k(similar, self._k)
        # Users without anything in common have similarity 0 and add nothing.
        pairs = tf.where(best > 0)
        rows, positions = tf.gather_nd(neighbours, pairs), tf.cast(pairs[:, 0], tf.int32)
        return summed(self.lent, rows, positions, [size, self.count], tf.gather_nd(best, pairs))
