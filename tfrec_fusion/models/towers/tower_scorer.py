"""Scorer over the whole catalogue for a two-tower model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.dot_product_scorer import DotProductScorer
from tfrec_fusion.models.interests import best_interest
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.towers.event_features import EventFeatures


def tower_scorer(model, state: State) -> DotProductScorer | Callable[[np.ndarray], np.ndarray]:
    """Builds the scorer of a `TwoTower`; it computes the item vectors once.

    If repeated events count or users have several vectors, the score is no dot product, and the
    scorer is a plain function.
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

    def vectors(users, history_items, history_rows, history_ages, *event_rows):
        history = past(history_items, event_rows)
        given: dict[str, Any] = {} if features is None else dict(features(users))
        return model.user_vectors(
            users, history, history_items, history_rows, history_ages, **given
        )

    def histories_of(users: np.ndarray) -> tuple:
        users = np.asarray(users, np.int32)
        return users, *state.flat_histories(users), *([events.flat(users)] if events else [])

    if not model.scores_repeats and model.interests == 1:
        traced = _on_first_call(vectors, inputs)
        return DotProductScorer(lambda users: traced(*histories_of(users)), items)

    def scores(users, history_items, history_rows, history_ages, *event_rows):
        of_users = vectors(users, history_items, history_rows, history_ages, *event_rows)
        found = best_interest(of_users, lambda one: tf.matmul(one, items, transpose_b=True))
        if not model.scores_repeats:
            return found
        history = past(history_items, event_rows)
        added = model.repeat_score(history, history_items, history_rows, history_ages)
        return tf.tensor_scatter_nd_add(found, *added)

    traced = _on_first_call(scores, inputs)
    return lambda users: traced(*histories_of(users)).numpy()


def _on_first_call(
    function: Callable[..., tf.Tensor], inputs: Sequence[tf.TensorSpec]
) -> Callable[..., tf.Tensor]:
    """Traces a function on its first call.

    Its concrete function is called, as TensorFlow warns of a function that is traced anew for each
    scorer, however seldom that is.
    """
    traced = functools.cache(tf.function(function, input_signature=inputs).get_concrete_function)
    return lambda *values: traced()(*values)
