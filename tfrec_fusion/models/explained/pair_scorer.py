"""A TwoTower's scores of pairs with some of its inputs hidden."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.features.state import flat_histories, item_state
from tfrec_fusion.models.explained.hidden_inputs import HiddenInputs
from tfrec_fusion.models.two_tower import TwoTower


class PairScorer:
    """Scores user-item pairs as `TwoTower.scorer` does, as if some inputs were missing.

    `HiddenInputs` says what can be hidden and what is left then.

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
        self._sides = HiddenInputs(model)
        self._features, self._seen, self._now = item_state(events, model.spec, at)
        self._histories = events.histories()
        self.inputs = self._sides.inputs

    def __call__(self, users, items, hidden: Collection[str] = ()) -> np.ndarray:
        """Scores `[P]` float32 of the pairs of user rows (-1 unknown) and item rows, `[P]` each."""
        items = np.asarray(items, np.int32)
        distinct, place = np.unique(np.asarray(users, np.int32), return_inverse=True)
        history, owners, ages = flat_histories(self._histories, distinct, self._now)
        rows, position = np.unique(np.concatenate([items, history]), return_inverse=True)
        own, past = position[: len(items)], position[len(items) :]

        features, seen = self._features[rows], tf.constant(self._seen[rows])
        fused = self._sides.fuse(rows, seen, hidden)
        item_vectors = self._sides.item_vectors(fused, tf.constant(rows), features, seen, hidden)
        user_vectors = self._sides.user_vectors(
            distinct, tf.gather(fused, past), history, owners, ages, hidden
        )
        return tf.reduce_sum(
            tf.gather(user_vectors, place) * tf.gather(item_vectors, own), 1
        ).numpy()
