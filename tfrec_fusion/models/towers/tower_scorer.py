"""Scorer over the whole catalogue for a two-tower model."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.dot_product_scorer import DotProductScorer
from tfrec_fusion.models.serving.request_features import RequestFeatures


def tower_scorer(model, state: State) -> DotProductScorer:
    """Builds the scorer of a `TwoTower`; it computes the item vectors once."""
    rows = tf.range(model.spec.n_items)
    items = model.item_vectors(rows, state.item_features(model.spec)[0], state.seen)
    fused = items[:, : model.config.dim]
    features = RequestFeatures.of(model.spec, state)

    ints = tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=[ints, ints, ints, tf.TensorSpec([None], tf.float32)])
    def vectors(users, history_items, history_rows, history_ages):
        history = tf.gather(fused, history_items)
        given = {} if features is None else features(users)
        return model.user_vectors(
            users, history, history_items, history_rows, history_ages, **given
        )

    def user_vectors(users: np.ndarray) -> tf.Tensor:
        users = np.asarray(users, np.int32)
        return vectors(users, *state.flat_histories(users))

    return DotProductScorer(user_vectors, items)
