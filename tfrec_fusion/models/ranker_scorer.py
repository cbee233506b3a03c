"""Scores the whole catalogue by a ranker."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.history_events import EVENT_FIELDS
from tfrec_fusion.features.label_rates import LABEL_RATES
from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.serving.stored_rates import StoredRates
from tfrec_fusion.models.towers.event_features import EventFeatures

_PAIRS = 1 << 18  # of a user and an item


class RankerScorer:
    """A function from user rows `[B]` to logits `[B, n_items]` float32.

    Args:
      model: a `Ranker`.
      state: histories and item features.
      history: number of most recent history items to read.

    Attributes:
      most_users: number of users at once that fits into memory and keeps all threads busy.
    """

    def __init__(self, model, state: State, history: int):
        self._state, self._history = state, history
        n_items = model.spec.n_items
        self.most_users = max(1, _PAIRS // n_items)
        features = tf.constant(state.item_features(model.spec)[0])
        of_users, self._events = (
            one.of(model.spec, state) for one in (RequestFeatures, EventFeatures)
        )
        seen = tf.constant(state.seen)
        rates = StoredRates(state) if model.spec.label_rates else None

        @tf.function(reduce_retracing=True)
        def score(users, items, ages, *event_rows):
            shape = tf.stack([tf.shape(users)[0], n_items])
            given = {} if of_users is None else of_users.fields(users)
            if self._events:
                given |= zip(EVENT_FIELDS, self._events(*event_rows), strict=True)
            if rates is not None:
                given[LABEL_RATES] = rates(users, tf.broadcast_to(tf.range(n_items), shape))
            return model(
                {
                    **given,
                    "user": users,
                    "item": tf.broadcast_to(tf.range(n_items), shape),
                    "history": items,
                    "history_age": ages,
                    "item_features": tf.broadcast_to(
                        features, tf.concat([shape, tf.shape(features)[1:]], 0)
                    ),
                    "is_warm": tf.broadcast_to(seen, shape),
                }
            )

        self._score = score

    def __call__(self, users: np.ndarray) -> np.ndarray:
        users = np.asarray(users, np.int32)
        items, ages = self._state.padded_histories(users, self._history)
        event_rows = [self._events.padded(users, self._history)] if self._events else []
        return self._score(users, items, ages, *event_rows).numpy()
