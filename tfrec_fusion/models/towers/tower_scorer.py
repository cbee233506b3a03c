"""Scorer over the whole catalogue for a two-tower model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.dot_product_scorer import DotProductScorer
from tfrec_fusion.models.serving.request_features import RequestFeatures


def tower_scorer(model, state: State) -> DotProductScorer | Callable[[np.ndarray], np.ndarray]:
    """Builds the scorer of a `TwoTower`; it computes the item vectors once.

    If repeated events count, the score is no dot product, and the scorer is a plain function.
    """
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

    if model.spec.repeats == "first":
        return DotProductScorer(user_vectors, items)

    @tf.function(input_signature=[ints, ints, ints, tf.TensorSpec([None], tf.float32)])
    def scores(users, history_items, history_rows, history_ages):
        found = tf.matmul(
            vectors(users, history_items, history_rows, history_ages), items, transpose_b=True
        )
        history = tf.gather(fused, history_items)
        added = model.repeat_score(history, history_items, history_rows, history_ages)
        return tf.tensor_scatter_nd_add(found, *added)

    def score(users: np.ndarray) -> np.ndarray:
        users = np.asarray(users, np.int32)
        return scores(users, *state.flat_histories(users)).numpy()

    return score
