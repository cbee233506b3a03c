"""A TwoTower's scores of pairs with some of its inputs hidden."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.models.scoring_state import flat_histories, item_state
from tfrec_fusion.models.two_tower import TwoTower


class PairScorer:
    """Scores user-item pairs as `TwoTower.scorer` does, as if some inputs were missing.

    What is hidden is hidden from the item and from the user's history alike:

    - "id": item ids, item biases and the user's id (an unknown user);
    - a frozen vector, by its name: missing for every item;
    - "context": the items' recency, trend and numbers are 0, which is an average item, and so are
      the size and the recency of the history. The recent pool keeps its weights.

    Args:
      model: whose scores.
      events: histories and trends come from here; the vocabularies must be the model's.
      at: unix time of scoring; the moment after the last event by default.

    Attributes:
      inputs: names of what can be hidden.

    Raises:
      InputError: other vocabularies.

    Example:
      >>> score = PairScorer(model, split.train)
      >>> score([3, 3], [7, 8]) - score([3, 3], [7, 8], hidden=["text"])
    """

    def __init__(self, model: TwoTower, events: Interactions, at: float | None = None):
        model.check(events)
        self._model = model
        self._features, self._seen, self._now = item_state(events, model.spec, at)
        self._histories = events.histories()
        has_ids = model.config.use_ids or model.config.user != "history"
        self.inputs = (*(["id"] if has_ids else []), *model.tower.frozen, "context")

    def __call__(self, users, items, hidden: Collection[str] = ()) -> np.ndarray:
        """Scores `[P]` float32 of the pairs of user rows (-1 unknown) and item rows, `[P]` each."""
        model, items = self._model, np.asarray(items, np.int32)
        distinct, place = np.unique(np.asarray(users, np.int32), return_inverse=True)
        history, owners, ages = flat_histories(self._histories, distinct, self._now)
        rows, position = np.unique(np.concatenate([items, history]), return_inverse=True)
        own, past = position[: len(items)], position[len(items) :]

        parts = set(model.tower.frozen) | ({"id"} if model.config.use_ids else set())
        fused = model.tower(rows, self._seen[rows], hidden=[h for h in hidden if h in parts])
        features, seen = self._features[rows], self._seen[rows]
        if "context" in hidden:
            features = np.zeros_like(features)
        if "id" in hidden:
            # Only the bias asks from here on whether an item was seen.
            distinct, seen = np.full_like(distinct, -1), np.zeros_like(seen)
        item_vectors = model.item_side(fused, tf.constant(rows), features, tf.constant(seen))
        user_vectors = model.user_vectors(
            distinct,
            tf.gather(fused, past),
            history,
            owners,
            ages,
            hide_size="context" in hidden,
        )
        return tf.reduce_sum(
            tf.gather(user_vectors, place) * tf.gather(item_vectors, own), 1
        ).numpy()
