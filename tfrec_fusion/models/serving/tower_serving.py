"""Scoring graph of the models with two towers."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.explained.explained_items import ExplainedItems
from tfrec_fusion.models.explained.hidden_inputs import HiddenInputs
from tfrec_fusion.models.explained.served_explanation import ServedExplanation
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.interest_serving import InterestServing
from tfrec_fusion.models.serving.repeat_serving import RepeatServing
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.towers.event_features import EventFeatures


def tower_serving(
    model,
    side,
    state: State,
    precision: str,
    explain: bool = False,
    reads_ages: bool = False,
) -> DotProductServing | RepeatServing | InterestServing:
    """Builds the scoring graph from the item vectors of a state and the user side.

    Args:
      model: the trained model, with `item_vectors` and `config.dim`.
      side: the same model with its user side stored at `precision`.
      state: the state that gives item features and trends.
      precision: one of `PRECISIONS`.
      explain: whether the graph can split scores into shares.
      reads_ages: whether the user side reads the ages of histories.
    """
    known, unknown = state.item_features(model.spec)
    features, seen = np.concatenate([known, unknown[None]]), np.append(state.seen, False)
    rows = tf.concat([tf.range(len(seen) - 1), [-1]], 0)
    vectors = model.item_vectors(rows, features, tf.constant(seen)).numpy()
    of_requests = RequestFeatures.of(model.spec, state, requests=True)
    of_events = EventFeatures.of(model.spec, state)

    def past(vectors, events):
        if events is None or of_events is None:
            return vectors
        return side.past_vectors(vectors, of_events(events))

    def user_vectors(users, vectors, items, rows, ages, given=None, events=None):
        features = {} if of_requests is None else of_requests(users, given)
        return side.user_vectors(users, past(vectors, events), items, rows, ages, **features)

    def repeat_scores(vectors, items, rows, ages, events=None):
        return side.repeat_score(past(vectors, events), items, rows, ages)

    explanation = None
    if explain:
        items = ExplainedItems.of(model, features, seen)
        hidden = HiddenInputs(side, of_requests, of_events)
        explanation = ServedExplanation(items, hidden.user_vectors, precision)
    repeated, interests = model.scores_repeats, getattr(model, "interests", 1)
    serving = DotProductServing(
        user_vectors,
        vectors[:-1],
        vectors[-1],
        model.config.dim,
        precision,
        explanation,
        requested=of_requests,
        events=of_events,
        has_vectors=not repeated and interests == 1,
        reads_ages=reads_ages and state.time is not None,
    )
    if interests > 1:
        return InterestServing(serving, interests)
    return RepeatServing(serving, repeat_scores) if repeated else serving
