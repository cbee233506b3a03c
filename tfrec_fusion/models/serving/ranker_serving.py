"""Scoring graph of a `Ranker`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.history_events import EVENT_FIELDS
from tfrec_fusion.features.label_rates import LABEL_RATES
from tfrec_fusion.features.state import State
from tfrec_fusion.models.calibration.applied import described_answers
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.models.serving.stored_rates import StoredRates
from tfrec_fusion.models.serving.stored_tables import stored_ranker
from tfrec_fusion.models.towers.event_features import EventFeatures

if TYPE_CHECKING:
    from tfrec_fusion.models.ranker import Ranker


class RankerServing(RowServing):
    """Scores items with a ranker and the item features as of a state.

    Args:
      model: the trained model.
      state: the state whose trends and numbers the graph stores.
      precision: precision of the tables; trends are float16 unless it is "float32".

    Raises:
      InputError: the weights are not finite.
    """

    history_length = 64  # as in training

    def __init__(self, model: Ranker, state: State, precision: str = "float32"):
        super().__init__(name="serving")
        diverged = [v.name for v in model.trainable_variables if not np.isfinite(v).all()]
        if diverged:
            raise InputError(
                f"export: {len(diverged)} of the model's variables are not finite, so its training "
                f"diverged; train again, e.g. with a lower learning rate. Received: {diverged[0]}"
            )
        spec = model.spec
        stored = stored_ranker(model, precision)
        known, unknown = state.item_features(spec)
        features = np.concatenate([known, unknown[None]])
        trends = features.shape[1] - len(spec.numbers)
        self.features = half_variable(features[:, :trends], precision, "item_features")
        # Always float32: logarithms of years differ only in the fourth digit.
        self.item_numbers = tf.Variable(features[:, trends:], False, name="item_numbers")
        self.seen = tf.Variable(np.append(state.seen, False), False, name="is_warm")
        self.requested = RequestFeatures.of(spec, state, requests=True)
        self.events = EventFeatures.of(spec, state)
        self.rates = StoredRates(state) if spec.label_rates else None
        self.reads_users = (
            model.reads_user_ids or spec.user_side is not None or self.rates is not None
        )
        self.reads_history = model.reads_history
        self.reads_ages = model.reads_history and state.time is not None
        self.outputs = described_answers(model)
        self._answers = lambda batch: stored.answers(batch)

    def answers(self, inputs):
        items = inputs["item"]
        rows = tf.where(items < 0, tf.shape(self.features)[0] - 1, items)
        trends = tf.cast(tf.gather(self.features, rows), tf.float32)
        features = tf.concat([trends, tf.gather(self.item_numbers, rows)], 2)
        seen = tf.gather(self.seen, rows)
        unknown = tf.fill(tf.shape(items)[:1], -1)
        batch = {"user": unknown, "item_features": features, "is_warm": seen, **inputs}
        if self.events is not None:
            batch |= zip(EVENT_FIELDS, self.events(batch.pop("history_event")), strict=True)
        if self.requested is not None:
            batch = self.requested.fields(batch["user"]) | batch
        if self.rates is not None:
            batch[LABEL_RATES] = self.rates(batch["user"], items)
        return self._answers(batch)


def half_variable(values: np.ndarray, precision: str, name: str) -> tf.Variable:
    """Stores a few columns or ages of different scales, as float16 unless float32."""
    if precision != "float32":
        largest = np.finfo(np.float16).max
        values = np.clip(values, -largest, largest).astype(np.float16)
    return tf.Variable(values, trainable=False, name=name)
