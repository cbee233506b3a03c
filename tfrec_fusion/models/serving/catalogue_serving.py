"""Scores of a whole catalogue for users who are known by their histories."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tfrec_fusion._compat import tf


class CatalogueServing(tf.Module, ABC):
    """The graph of a model between rows of users and items and the scores of N items.

    A user side makes one query `[D]` a user, whatever it holds, and the item side scores queries.
    What it reads are variables of it, or of what its `users` calls.
    An attribute that is a Keras model or a `tf.function` would be saved with the export.

    Attributes:
      has_vectors: whether a score is the dot product of a query and a vector of the item.
      explanation: splits scores into shares; None where that was not asked for.
    """

    has_vectors = False
    explanation = None

    @property
    @abstractmethod
    def count(self) -> int:
        """N."""

    @abstractmethod
    def users(self, users, items, positions, ages) -> tf.Tensor:
        """The user side.

        Args:
          users: `[B]` int32 rows, -1 unknown.
          items: `[P]` int32 rows of the items of all histories, distinct for each user.
          positions: `[P]` int32 ascending, whose of the `[B]` users they are.
          ages: `[P]` float32 days.

        Returns:
          Queries `[B, D]` float32.
        """

    @abstractmethod
    def scores_of(self, queries, rows) -> tf.Tensor:
        """Scores `[B, M]` float32 of queries `[B, D]` with rows `[B, M]`, each from 0 to N - 1."""

    @abstractmethod
    def scores_with_unknown(self, queries, rows) -> tf.Tensor:
        """As `scores_of`, of rows that may be -1, an unknown item."""

    @abstractmethod
    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """`exact_top_k` of the queries over all items."""

    def vectors(self, rows) -> tf.Tensor:
        """Vectors `[..., D]` float32 of item rows of any shape, -1 unknown."""
        raise NotImplementedError(f"{type(self).__name__} has no item vectors")
