"""Interface of the scoring graphs that rank the whole catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.serving.similar_items import SimilarItems, SimilarVectors
from tfrec_fusion.models.towers.event_features import EventFeatures

if TYPE_CHECKING:
    from tfrec_fusion.models.serving.query_side import QuerySide
    from tfrec_fusion.models.serving.score_serving import Scores


class CatalogueServing(tf.Module, ABC):
    """Scoring graph of a model: from rows of users and items to the scores of N items.

    The user side computes one query `[D]` per user, in any representation; the item side scores
    queries. The graph may read only variables of this module or of objects that `users` calls. Do
    not assign a Keras model or a `tf.function` to an attribute: the export would save it.

    Attributes:
      has_vectors: whether a score is the dot product of a query and an item vector.
      reads_order: whether it reads the order of a history, which low precisions do not keep unless
        it does.
      reads_ages: whether it reads the ages of a history in days, which requests may then give.
      explanation: splits scores into shares; None if not requested.
      requested: the features that requests may give; None if the model reads none.
      events: the features of the events of the stored histories; None if the model reads none.
      query_side: turns vectors of search queries into queries; None without a query tower.
      has_stages: whether `retrieval_scores` gives the scores that chose the candidates.
    """

    has_vectors = False
    has_stages = False
    reads_order = False
    reads_ages = False
    explanation = None
    requested: RequestFeatures | None = None
    events: EventFeatures | None = None
    query_side: QuerySide | None = None

    @property
    @abstractmethod
    def count(self) -> int:
        """The number N of items."""

    @abstractmethod
    def users(
        self,
        users,
        items,
        positions,
        ages,
        given: Mapping[str, tf.Tensor] | None = None,
        events: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes the queries of users.

        Args:
          users: `[B]` int32 user rows, -1 unknown.
          items: `[P]` int32 rows of the items of all histories, distinct for each user unless
            repeated events count.
          positions: `[P]` int32 ascending: the position in `[B]` of each item's user. Its items are
            in order, the latest last, if `reads_order`.
          ages: `[P]` float32 days, or steps (see `State.flat_histories`).
          given: the inputs of `requested`; it is passed only if there are some.
          events: `[P]` int32 rows of `self.events`, -1 for an event of which nothing is known; it
            is passed only if the model reads features of events.

        Returns:
          Queries `[B, D]` float32.
        """

    def all_scores(self, queries) -> tf.Tensor:
        """Returns the scores `[B, N]` float32 of queries `[B, D]` with all items."""
        shape = [tf.shape(queries)[0], self.count]
        return self.scores_of(queries, tf.broadcast_to(tf.range(self.count), shape))

    @abstractmethod
    def scores_of(self, queries, rows) -> tf.Tensor:
        """Returns scores `[B, M]` float32 of queries `[B, D]` with rows `[B, M]` in [0, N - 1]."""

    @abstractmethod
    def scores_with_unknown(self, queries, rows) -> tf.Tensor:
        """Like `scores_of`, but rows may be -1, an unknown item."""

    @abstractmethod
    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """Returns the result of `exact_top_k` over all items."""

    def among(
        self, queries, allowed: Callable[[], tf.Tensor]
    ) -> tuple[CatalogueServing | Scores, tf.Tensor]:
        """Returns what ranks the items of requests, and their queries for it.

        These are this graph and the same queries, unless scores depend on what a request allows.

        Args:
          queries: `[B, D]`.
          allowed: returns `[B, N]` bool, the items that each request allows.
        """
        return self, queries

    def retrieval_scores(self, queries, rows) -> tf.Tensor:
        """Like `scores_with_unknown`, of the first of two stages."""
        raise NotImplementedError(f"{type(self).__name__} has no stages")

    def similar_items(self, text: Callable[[], SimilarVectors | None]) -> SimilarItems | None:
        """Returns the model's own similarity of items; None if it has none.

        Args:
          text: returns the similarity of frozen vectors, None without vectors; for models that know
            nothing of new items.
        """
        return None

    def vectors(self, rows) -> tf.Tensor:
        """Returns vectors `[..., D]` float32 of item rows of any shape, -1 unknown."""
        raise NotImplementedError(f"{type(self).__name__} has no item vectors")
