"""Scoring graph of models that score the items of a history for being taken again."""

from __future__ import annotations

from collections.abc import Callable

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.similar_items import SimilarVectors
from tfrec_fusion.retrieval import exact_top_k


class RepeatServing(CatalogueServing):
    """Adds a score for the items of the history to a dot product.

    A query is the user vector `[D]` followed by the added scores `[N]`, so a batch needs memory for
    `B * N` numbers twice.

    Args:
      inner: the dot product.
      repeat_scores: `repeat_scores(history_vectors, items, rows, ages, events=None)` -> pairs
        `[P, 2]` and scores `[P]`, see `layers.RepeatScore`; `history_vectors` are those of the
        items, and `events` are passed as to `users`.
    """

    def __init__(self, inner: DotProductServing, repeat_scores: Callable):
        super().__init__(name="serving")
        self.inner, self._repeat_scores = inner, repeat_scores
        self.requested, self.events = inner.requested, inner.events
        self.reads_ages = inner.reads_ages
        self._dim = inner.items.shape[1]
        self.shape = (inner.count, self._dim + inner.count)

    @property
    def count(self) -> int:
        return self.inner.count

    def users(self, users, items, positions, ages, given=None, events=None):
        past = self.inner.past(items)
        vectors = self.inner.users(users, items, positions, ages, given, events)
        more = {} if events is None else {"events": events}
        pairs, scores = self._repeat_scores(past, items, positions, ages, **more)
        return tf.concat([vectors, tf.scatter_nd(pairs, scores, self._added(vectors))], 1)

    def _added(self, vectors):
        return tf.stack([tf.shape(vectors)[0], self.count])

    def all_scores(self, queries):
        vectors, added = queries[:, : self._dim], queries[:, self._dim :]
        return self.inner.all_scores(vectors) + added

    def scores_of(self, queries, rows):
        vectors, added = queries[:, : self._dim], queries[:, self._dim :]
        return self.inner.scores_of(vectors, rows) + tf.gather(added, rows, batch_dims=1)

    def scores_with_unknown(self, queries, rows):
        vectors, added = queries[:, : self._dim], queries[:, self._dim :]
        repeated = tf.gather(added, tf.maximum(rows, 0), batch_dims=1)
        scores = self.inner.scores_with_unknown(vectors, rows)
        return scores + tf.where(rows < 0, 0.0, repeated)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return exact_top_k(queries, self, k, masked_pairs, bias, allowed, restricted)

    def similar_items(self, text):
        return SimilarVectors(self.inner.items, "item vectors", self.inner.fused_dim)

    def product(self, queries: tf.Tensor, first: int, end: int) -> tf.Tensor:
        """Scores of the items from `first` to `end`, for `exact_top_k`."""
        vectors = queries[:, : self._dim]
        added = queries[:, self._dim + first : self._dim + end]
        return self.inner.items.product(vectors, first, end) + added
