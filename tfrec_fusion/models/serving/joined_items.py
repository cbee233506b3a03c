"""Item vectors that are stored in several parts."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import tf
from tfrec_fusion.retrieval import exact_top_k
from tfrec_fusion.retrieval.stored_items import StoredItems


class JoinedItems:
    """Scores N items as `StoredItems` of all columns of its parts would.

    So one part can be that of the recommendations, which read no other.

    Args:
      parts: the columns of the same N items; a query has all of them, in this order.
    """

    def __init__(self, parts: Sequence[StoredItems]):
        self._parts = tuple(parts)
        self.shape = (parts[0].count, sum(part.shape[1] for part in parts))

    @property
    def count(self) -> int:
        """The number N of items."""
        return self.shape[0]

    def scores_of(self, queries, rows) -> tf.Tensor:
        """Returns scores `[B, M]` of queries `[B, D]` with rows `[B, M]`, each from 0 to N - 1."""
        return tf.add_n([part.scores_of(own, rows) for part, own in self._split(queries)])

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """Returns the result of `exact_top_k` over all items."""
        return exact_top_k(queries, self, k, masked_pairs, bias, allowed, restricted)

    def product(self, queries, first: int, end: int) -> tf.Tensor:
        """Scores of the items from `first` to `end`, for `exact_top_k`."""
        return tf.add_n([part.product(own, first, end) for part, own in self._split(queries)])

    def _split(self, queries) -> list[tuple[StoredItems, tf.Tensor]]:
        own = tf.split(queries, [part.shape[1] for part in self._parts], 1)
        return [*zip(self._parts, own, strict=True)]
