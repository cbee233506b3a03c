"""Base of the scoring graphs whose query holds the scores of all items."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.retrieval import exact_top_k


class ScoreServing(CatalogueServing):
    """Computes the scores of all N items as the user's query. An unknown item scores 0.

    A subclass implements `users`.

    Args:
      count: the number N of items.
    """

    def __init__(self, count: int):
        super().__init__(name="serving")
        self._count = count

    @property
    def count(self) -> int:
        return self._count

    def all_scores(self, queries):
        return queries

    def scores_of(self, queries, rows):
        return tf.gather(queries, rows, batch_dims=1)

    def scores_with_unknown(self, queries, rows):
        return tf.where(rows < 0, 0.0, self.scores_of(queries, tf.maximum(rows, 0)))

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return Scores(self._count).best(queries, k, masked_pairs, bias, allowed, restricted)


class Scores:
    """Ranks N items by queries that already are their scores.

    Args:
      count: the number N of items.
    """

    def __init__(self, count: int):
        self.count = count

    def scores_of(self, queries, rows) -> tf.Tensor:
        """Returns scores `[B, M]` of queries `[B, N]` with rows `[B, M]`, each from 0 to N - 1."""
        return tf.gather(queries, rows, batch_dims=1)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """Returns the result of `exact_top_k` over all items."""
        columns = ScoreColumns(self.count)
        return exact_top_k(queries, columns, k, masked_pairs, bias, allowed, restricted)


class ScoreColumns:
    """Lets `exact_top_k` read queries that already are scores, in place of item vectors.

    Args:
      count: the number N of items.
    """

    def __init__(self, count: int):
        self.shape = (count, count)

    def product(self, queries, first: int, end: int) -> tf.Tensor:
        return queries[:, first:end]
