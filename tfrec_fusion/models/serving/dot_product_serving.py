"""Scoring graph of models whose score is a dot product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.explained.served_explanation import ServedExplanation
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.serving.similar_items import SimilarVectors
from tfrec_fusion.models.towers.event_features import EventFeatures
from tfrec_fusion.retrieval.stored_items import StoredItems


class DotProductServing(CatalogueServing):
    """Scores items by the dot product of a user vector and stored item vectors.

    Args:
      user_vectors: the model's user side, `user_vectors(users, history_vectors, history_items,
        history_rows, history_ages, given=None, events=None) -> [B, D]`, of which the last two are
        passed as to `users`, and `history_vectors` are those of the items.
      item_vectors: `[N, D]` float32, the item side as of the export.
      unknown_item: `[D]` float32, the item side of row -1.
      fused_dim: number of leading columns of `item_vectors` that the user side reads of histories.
      precision: precision of the item vectors, see `StoredItems`.
      explanation: splits the scores into shares; None for no explanation.
      has_vectors: whether the vectors are meaningful embeddings to serve.
      requested: the features that requests may give.
      events: the features of the events of the stored histories.
      reads_ages: whether the user side reads the ages of histories.

    Raises:
      InputError: the item vectors are not finite.
    """

    def __init__(
        self,
        user_vectors: Callable,
        item_vectors: np.ndarray,
        unknown_item: np.ndarray,
        fused_dim: int,
        precision: str = "float32",
        explanation: ServedExplanation | None = None,
        has_vectors: bool = True,
        requested: RequestFeatures | None = None,
        events: EventFeatures | None = None,
        reads_ages: bool = False,
    ):
        super().__init__(name="serving")
        diverged = int((~np.isfinite(np.vstack([item_vectors, unknown_item])).all(1)).sum())
        if diverged:
            raise InputError(
                f"export: {diverged} item vectors of the model are not finite, so its training "
                "diverged; train again, e.g. with a lower learning rate"
            )
        self.items = StoredItems(item_vectors, precision, item_vectors.shape[1] - fused_dim)
        self.unknown_item = tf.Variable(unknown_item, trainable=False, name="unknown_item")
        self.fused_dim, self._user_vectors = fused_dim, user_vectors
        self.explanation: Any = explanation
        self.has_vectors, self.requested, self.events = has_vectors, requested, events
        self.reads_ages = reads_ages

    @property
    def count(self) -> int:
        return self.items.count

    def users(self, users, items, positions, ages, given=None, events=None):
        more = {"given": given, "events": events}
        more = {name: value for name, value in more.items() if value is not None}
        return self._user_vectors(users, self.past(items), items, positions, ages, **more)

    def all_scores(self, queries):
        return self.items.all_scores(queries)

    def scores_of(self, queries, rows):
        return self.items.scores_of(queries, rows)

    def scores_with_unknown(self, queries, rows):
        return tf.linalg.matvec(self.vectors(rows), queries)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return self.items.best(queries, k, masked_pairs, bias, allowed, restricted)

    def similar_items(self, text):
        return (
            SimilarVectors(self.items, "item vectors", self.fused_dim) if self.has_vectors else None
        )

    def vectors(self, rows):
        found = self.items.gather(tf.maximum(rows, 0))
        return tf.where((rows < 0)[..., None], self.unknown_item, found)

    def explained(self, users, pairs, ages, rows, given=None, events=None) -> dict[str, tf.Tensor]:
        """Returns the shares of the model's inputs; see `ServedExplanation.shares`."""
        past = self.past(pairs[:, 1])
        items = self.vectors(rows)
        return self.explanation.shares(users, pairs, ages, past, rows, items, given, events)

    def past(self, items) -> tf.Tensor:
        """Returns the fused vectors `[P, dim]` of history items."""
        return self.items.gather(items)[:, : self.fused_dim]
