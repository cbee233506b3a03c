"""Scoring graph of models whose users have several vectors."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.models.interests import best_interest
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.similar_items import SimilarVectors
from tfrec_fusion.retrieval import exact_top_k


class InterestServing(CatalogueServing):
    """Takes the largest of the dot products with the vectors of a user.

    A query holds the vectors of a user one after the other, `[interests * D]`. The best k items of
    the largest score are the best of those of each interest, so one pass over the items finds them.

    Args:
      inner: the dot products; its user vectors are `[B, interests, D]`.
      interests: number of vectors of a user.
    """

    def __init__(self, inner: DotProductServing, interests: int):
        super().__init__(name="serving")
        self.inner, self._interests = inner, interests
        self.requested, self.events = inner.requested, inner.events
        self.reads_ages, self.explanation = inner.reads_ages, inner.explanation
        self._dim = inner.items.shape[1]
        self.shape = (inner.count, interests * self._dim)

    @property
    def count(self) -> int:
        return self.inner.count

    def users(self, users, items, positions, ages, given=None, events=None):
        vectors = self.inner.users(users, items, positions, ages, given, events)
        return tf.reshape(vectors, [-1, self.shape[1]])

    def _vectors(self, queries):
        return tf.reshape(queries, [-1, self._interests, self._dim])

    def all_scores(self, queries):
        return best_interest(self._vectors(queries), self.inner.all_scores)

    def scores_of(self, queries, rows):
        return best_interest(self._vectors(queries), lambda one: self.inner.scores_of(one, rows))

    def scores_with_unknown(self, queries, rows):
        vectors = self._vectors(queries)
        return best_interest(vectors, lambda one: self.inner.scores_with_unknown(one, rows))

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return exact_top_k(queries, self, k, masked_pairs, bias, allowed, restricted)

    def product(self, queries: tf.Tensor, first: int, end: int) -> tf.Tensor:
        """Scores of the items from `first` to `end`, for `exact_top_k`."""
        vectors = self._vectors(queries)
        return best_interest(vectors, lambda one: self.inner.items.product(one, first, end))

    def similar_items(self, text):
        return SimilarVectors(self.inner.items, "item vectors", self.inner.fused_dim)

    def explained(self, users, pairs, ages, rows, given=None, events=None) -> dict[str, tf.Tensor]:
        """Returns the shares of the model's inputs; see `ServedExplanation.shares`."""
        return self.inner.explained(users, pairs, ages, rows, given, events)
