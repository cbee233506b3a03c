"""Scoring graph of the models with two towers."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.explained.explained_items import ExplainedItems
from tfrec_fusion.models.explained.hidden_inputs import HiddenInputs
from tfrec_fusion.models.explained.served_explanation import ServedExplanation
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.repeat_serving import RepeatServing
from tfrec_fusion.models.serving.request_features import RequestFeatures


def tower_serving(
    model, side, state: State, precision: str, explain: bool = False
) -> DotProductServing | RepeatServing:
    """Builds the scoring graph from the item vectors of a state and the user side.

    Args:
      model: the trained model, with `item_vectors` and `config.dim`.
      side: the same model with its user side stored at `precision`.
      state: the state that gives item features and trends.
      precision: one of `PRECISIONS`.
      explain: whether the graph can split scores into shares.
    """
    known, unknown = state.item_features(model.spec)
    features, seen = np.concatenate([known, unknown[None]]), np.append(state.seen, False)
    rows = tf.concat([tf.range(len(seen) - 1), [-1]], 0)
    vectors = model.item_vectors(rows, features, tf.constant(seen)).numpy()
    of_requests = RequestFeatures.of(model.spec, state, requests=True)
    user_vectors = side.user_vectors
    explanation = None
    if explain:
        items = ExplainedItems.of(model, features, seen)
        hidden = HiddenInputs(side, of_requests)
        explanation = ServedExplanation(items, hidden.user_vectors, precision)
    if of_requests is not None:

        def user_vectors(users, vectors, items, rows, ages, given=None):
            return side.user_vectors(users, vectors, items, rows, ages, **of_requests(users, given))

    repeated = model.spec.repeats == "all"
    serving = DotProductServing(
        user_vectors,
        vectors[:-1],
        vectors[-1],
        model.config.dim,
        precision,
        explanation,
        requested=of_requests,
        has_vectors=not repeated,
    )
    return RepeatServing(serving, side.repeat_score) if repeated else serving
