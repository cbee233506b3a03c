"""Which items of a catalogue are similar to an item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.sparse_rows import Rows
from tfrec_fusion.retrieval import exact_top_k
from tfrec_fusion.retrieval.stored_items import StoredItems

if TYPE_CHECKING:
    from tfrec_fusion.models.serving.score_serving import ScoreServing

_BLOCK = 1 << 16  # items


class SimilarItems(tf.Module, ABC):
    """Scores N items by their similarity to given items.

    Attributes:
      kind: what the similarity is, in words.
    """

    kind: str

    @property
    @abstractmethod
    def count(self) -> int:
        """The number N of items."""

    @abstractmethod
    def known(self, rows) -> tf.Tensor:
        """Returns `[B]` bool, whether items of rows `[B]` in [0, N - 1] have similar items."""

    @abstractmethod
    def queries(self, rows) -> tf.Tensor:
        """Returns queries `[B, D]` float32 of items of rows `[B]` in [0, N - 1]."""

    @abstractmethod
    def scores_of(self, queries, rows) -> tf.Tensor:
        """Returns scores `[B, M]` float32 of queries with rows `[B, M]` in [0, N - 1]."""

    @abstractmethod
    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """Returns the result of `exact_top_k` over all items."""


class SimilarVectors(SimilarItems):
    """Scores by the cosine of stored vectors; items whose vector is 0 are similar to none.

    Args:
      items: the vectors `[N, D]`.
      kind: what the vectors are, in words.
      dim: number of leading columns to compare; None for all.
    """

    def __init__(self, items: StoredItems, kind: str, dim: int | None = None):
        super().__init__(name="similar_items")
        self.items, self.kind, self.shape = items, kind, items.shape
        self._dim = items.shape[1] if dim is None else dim
        blocks = [
            tf.norm(self._vectors(tf.range(begin, min(begin + _BLOCK, items.count))), axis=1)
            for begin in range(0, items.count, _BLOCK)
        ]
        norms = np.concatenate([np.zeros(0, np.float32), *blocks])
        scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        self.scale = tf.Variable(scale, trainable=False, name="similar_scale")

    @property
    def count(self) -> int:
        return self.items.count

    def known(self, rows):
        return self._scales(rows) > 0

    def queries(self, rows):
        vectors = self._vectors(rows) * self._scales(rows)[:, None]
        return tf.pad(vectors, [[0, 0], [0, self.shape[1] - self._dim]])

    def scores_of(self, queries, rows):
        scale = self._scales(rows)
        return tf.where(scale > 0, self.items.scores_of(queries, rows) * scale, -np.inf)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return exact_top_k(queries, self, k, masked_pairs, bias, allowed, restricted)

    def product(self, queries, first: int, end: int) -> tf.Tensor:
        """Scores of the items from `first` to `end`, for `exact_top_k`."""
        scale = self.scale[first:end]
        return tf.where(scale > 0, self.items.product(queries, first, end) * scale, -np.inf)

    def _vectors(self, rows):
        return self.items.gather(rows)[:, : self._dim]

    def _scales(self, rows):
        return tf.gather(self.scale.read_value(), rows)


class SimilarWeights(SimilarItems):
    """Scores by item-item weights above 0, as of users who have only the given item.

    An item without a weight above 0 has the scores of `otherwise`.

    Args:
      weights: the matrix `[N, N]` from the given item to the candidate.
      serving: ranks by queries that hold N scores.
      otherwise: for items without weights; None for none.
    """

    kind = "co-consumption"

    def __init__(
        self, weights: Rows, serving: ScoreServing, otherwise: SimilarVectors | None = None
    ):
        super().__init__(name="similar_items")
        self._weights, self._scores, self.otherwise = weights, serving, otherwise
        if otherwise is not None:
            self.kind = f"{self.kind}, or {otherwise.kind} for items without"

    @property
    def count(self) -> int:
        return self._scores.count

    def known(self, rows):
        return tf.reduce_any(self.queries(rows) > -np.inf, 1)

    def queries(self, rows):
        batch = tf.shape(rows)[0]
        weights = self._weights.sums(rows, tf.range(batch), [batch, self.count])
        scores = tf.where(weights > 0, weights, -np.inf)
        if self.otherwise is None:
            return scores
        lacking = tf.reduce_all(weights <= 0, 1, keepdims=True)
        other = self.otherwise.product(self.otherwise.queries(rows), 0, self.count)
        # An item without a vector has the query 0, which is no similarity.
        other = tf.where(self.otherwise.known(rows)[:, None], other, -np.inf)
        return tf.where(lacking, other, scores)

    def scores_of(self, queries, rows):
        return self._scores.scores_of(queries, rows)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return self._scores.best(queries, k, masked_pairs, bias, allowed, restricted)
