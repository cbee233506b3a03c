"""What turns query vectors into queries of an index of items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.joined_items import JoinedItems
from tfrec_fusion.models.serving.similar_items import SimilarVectors


class QuerySide(ABC):
    """Compares vectors of queries with items.

    Attributes:
      dims: length of a query vector.
      kind: what is compared, in words.
      items: ranks the items by the queries, with `count`, `scores_of` and `best` as in
        `CatalogueServing`.
      reads_users: whether the queries depend on the user.
    """

    dims: int
    kind: str
    items: CatalogueServing | SimilarVectors | JoinedItems
    reads_users = False

    @abstractmethod
    def queries(self, vectors, users, known) -> tf.Tensor:
        """Computes queries `[B, D]` float32.

        Args:
          vectors: `[B, dims]` float32; those of rows without a vector are 0 and do not matter.
          users: user vectors `[B, D]` of the model; None unless `reads_users`.
          known: `[B]` bool, whether the row has a user.
        """


class VectorQueries(QuerySide):
    """Compares query vectors with vectors of items by their cosine.

    Args:
      items: the vectors of the items.
    """

    def __init__(self, items: SimilarVectors):
        self.items, self.dims, self.kind = items, items.shape[1], items.kind

    def queries(self, vectors, users, known):
        return tf.math.l2_normalize(vectors, 1, epsilon=1e-24)


class TowerQueries(QuerySide):
    """Queries of a query tower.

    Args:
      items: the model's scoring graph, or its item vectors with those of the items' texts.
      tower: `tower(vectors, users, known) -> [B, D]`, as `queries`, of the columns of the items.
      dims: length of a query vector.
      reads_users: whether the tower reads the user vectors.
    """

    kind = "the query tower"

    def __init__(
        self,
        items: CatalogueServing | JoinedItems,
        tower: Callable,
        dims: int,
        reads_users: bool = True,
    ):
        self.items, self.dims, self.reads_users = items, dims, reads_users
        self._tower = tower

    def queries(self, vectors, users, known):
        return self._tower(vectors, users, known)
