"""Scorer over the whole catalogue for a two-tower model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.dot_product_scorer import DotProductScorer
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.towers.event_features import EventFeatures


def tower_scorer(model, state: State) -> DotProductScorer | Callable[[np.ndarray], np.ndarray]:
    """Builds the scorer of a `TwoTower`; it computes the item vectors once.

    If repeated events count, the score is no dot product, and the scorer is a plain function.
    """
    rows = tf.range(model.spec.n_items)
    items = model.item_vectors(rows, state.item_features(model.spec)[0], state.seen)
    fused = items[:, : model.config.dim]
    features, events = (one.of(model.spec, state) for one in (RequestFeatures, EventFeatures))

    ints = tf.TensorSpec([None], tf.int32)
    inputs = [ints, ints, ints, tf.TensorSpec([None], tf.float32), *([ints] if events else [])]

    def past(history_items, event_rows):
        known = events(*event_rows) if events else None
        return model.past_vectors(tf.gather(fused, history_items), known)

    @tf.function(input_signature=inputs)
    def vectors(users, history_items, history_rows, history_ages, *event_rows):
        history = past(history_items, event_rows)
        given: dict[str, Any] = {} if features is None else dict(features(users))
        return model.user_vectors(
            users, history, history_items, history_rows, history_ages, **given
        )

    def histories_of(users: np.ndarray) -> tuple:
        users = np.asarray(users, np.int32)
        return users, *state.flat_histories(users), *([events.flat(users)] if events else [])

    def user_vectors(users: np.ndarray) -> tf.Tensor:
        return vectors(*histories_of(users))

    if model.spec.repeats == "first":
        return DotProductScorer(user_vectors, items)

    @tf.function(input_signature=inputs)
    def scores(users, history_items, history_rows, history_ages, *event_rows):
        of_users = vectors(users, history_items, history_rows, history_ages, *event_rows)
        found = tf.matmul(of_users, items, transpose_b=True)
        history = past(history_items, event_rows)
        added = model.repeat_score(history, history_items, history_rows, history_ages)
        return tf.tensor_scatter_nd_add(found, *added)

    def score(users: np.ndarray) -> np.ndarray:
        return scores(*histories_of(users)).numpy()

    return score
