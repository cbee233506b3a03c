"""Scoring graph of a `RankerEnsemble`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from tfrec_fusion._compat import tf
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.models.towers.event_features import EventFeatures
from tfrec_fusion.pipelines.ranker_ensemble_config import RankerEnsembleConfig
from tfrec_fusion.signature import Tensor


class EnsembleServing(RowServing):
    """Scores items by the weighted sum of the logits of several rankers.

    Args:
      config: weights and bias.
      members: member -> its scoring graph.
      spec: the spec of the ensemble.
      state: the state that the members store.
    """

    outputs = (
        Tensor("score", "float32", "[B, N]", "the logit"),
        Tensor("probability", "float32", "[B, N]", "the probability that the user takes the item"),
    )

    def __init__(
        self,
        config: RankerEnsembleConfig,
        members: Mapping[str, RowServing],
        spec: DataSpec,
        state: State,
    ):
        super().__init__(name="serving")
        self.members = list(members.values())
        self._weights = [config.weights[name] for name in members]
        self._bias = config.bias
        self.requested = RequestFeatures.of(spec, state, requests=True)
        self.events = EventFeatures.of(spec, state)
        self.reads_users = any(one.reads_users for one in self.members)
        self.reads_history = any(one.reads_history for one in self.members)
        self.reads_ages = any(one.reads_ages for one in self.members)
        self.history_length = max(one.history_length for one in self.members)

    def answers(self, inputs):
        logits = [
            weight * member.answers(_read(member, inputs))["score"]
            for weight, member in zip(self._weights, self.members, strict=True)
            if weight
        ]
        score = tf.add_n(logits) + self._bias
        return {"score": score, "probability": cast(tf.Tensor, tf.sigmoid(score))}


def _read(member: RowServing, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The inputs without the parts of a history that the member does not read."""
    hidden = set() if member.reads_history else {"history", "history_age"}
    if member.events is None:
        hidden.add("history_event")
    return {name: value for name, value in inputs.items() if name not in hidden}
