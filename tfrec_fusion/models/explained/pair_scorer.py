"""Scores of user-item pairs with some inputs of a TwoTower hidden."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.explained.hidden_inputs import HiddenInputs
from tfrec_fusion.models.explained.shapley import shapley_weights, subsets
from tfrec_fusion.models.interests import best_interest
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.towers.event_features import EventFeatures

if TYPE_CHECKING:
    from tfrec_fusion.models.two_tower import TwoTower


class PairScorer:
    """Scores user-item pairs as `TwoTower.scorer` does, as if some inputs were missing.

    `HiddenInputs` defines what can be hidden.

    Args:
      model: the trained model.
      state: histories and item features; its vocabularies must be those of the model.

    Attributes:
      inputs: names of the inputs that can be hidden.

    Raises:
      InputError: other vocabularies.

    Example:
      >>> score = PairScorer(model, State.of(split.train))
      >>> (score([3, 3], [7, 8]) - score([3, 3], [7, 8], hidden=["text"])).shape
      (2,)
    """

    def __init__(self, model: TwoTower, state: State):
        model.check(state.events)
        self._events = EventFeatures.of(model.spec, state)
        requests = RequestFeatures.of(model.spec, state)
        self._sides = HiddenInputs(model, requests, self._events)
        self._state, self._features = state, state.item_features(model.spec)[0]
        self.inputs = self._sides.inputs

    def explained(
        self, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Returns scores, Shapley shares by input, and the bias of pairs, `[P]` float64 each."""
        names = self.inputs
        hidden = [set(names) - shown for shown in subsets(names)]
        values = np.stack([self(users, items, one).astype(np.float64) for one in hidden])
        return values[-1], dict(zip(names, shapley_weights(names) @ values, strict=True)), values[0]

    def __call__(self, users, items, hidden: Collection[str] = ()) -> np.ndarray:
        """Returns scores `[P]` float32 of user rows `[P]` (-1 unknown) with item rows `[P]`."""
        items = np.asarray(items, np.int32)
        distinct, place = np.unique(np.asarray(users, np.int32), return_inverse=True)
        history, owners, ages = self._state.flat_histories(distinct)
        rows, position = np.unique(np.concatenate([items, history]), return_inverse=True)
        own, past = position[: len(items)], position[len(items) :]

        features, seen = self._features[rows], tf.constant(self._state.seen[rows])
        fused = self._sides.fuse(rows, seen, hidden)
        item_vectors = self._sides.item_vectors(fused, tf.constant(rows), features, seen, hidden)
        user_vectors = self._sides.user_vectors(
            distinct,
            tf.gather(fused, past),
            history,
            owners,
            ages,
            hidden,
            events=None if self._events is None else self._events.flat(distinct),
        )
        items_of = tf.gather(item_vectors, own)
        scores = best_interest(
            tf.gather(user_vectors, place), lambda one: tf.reduce_sum(one * items_of, 1)
        )
        return scores.numpy()
