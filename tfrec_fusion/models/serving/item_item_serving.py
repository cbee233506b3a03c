"""Scoring graph of item-item models."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.history_decay import HistoryDecay
from tfrec_fusion.models.serving.score_serving import ScoreServing
from tfrec_fusion.models.serving.similar_items import SimilarWeights
from tfrec_fusion.models.serving.sparse_rows import SparseRows, summed
from tfrec_fusion.retrieval.stored_items import StoredItems


class ItemItemServing(ScoreServing):
    """Sums the rows of an item-item matrix for a user's history; the query holds the N scores.

    An unknown item scores 0.

    Args:
      weights: `[N, N]` float32 from history item to candidate; dense or sparse.
      precision: precision of the weights, see `StoredItems`.
      decay: weights of the history's items; None for 1.
      factors: `[N]` float32, which multiply the scores; None for 1.
    """

    def __init__(
        self,
        weights: np.ndarray | scipy.sparse.csr_array,
        precision: str = "float32",
        decay: HistoryDecay | None = None,
        factors: np.ndarray | None = None,
    ):
        super().__init__(weights.shape[0])
        kind = SparseRows if scipy.sparse.issparse(weights) else _DenseRows
        self.rows = kind(weights, precision)
        self._decay, self.reads_order = decay, decay is not None
        self.reads_ages = decay is not None and decay.half_life_days is not None
        self.factors = None
        if factors is not None:
            self.factors = tf.Variable(factors, trainable=False, name="factors")

    def users(self, users, items, positions, ages):
        batch = tf.shape(users)[0]
        weights = None if self._decay is None else self._decay(positions, ages, batch)
        scores = summed(self.rows, items, positions, [batch, self.count], weights)
        return scores if self.factors is None else scores * self.factors

    def similar_items(self, text):
        return SimilarWeights(self.rows, self, text())


class _DenseRows(tf.Module):
    def __init__(self, weights: np.ndarray, precision: str):
        super().__init__(name="weights")
        self.weights = StoredItems(weights, precision)

    def sums(self, rows, positions, shape, weights=None) -> tf.Tensor:
        values = self.weights.gather(rows)
        values = values if weights is None else values * weights[:, None]
        return tf.math.unsorted_segment_sum(values, positions, shape[0])
