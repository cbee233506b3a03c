"""The examples of a batch, with the vectors that objectives compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from tfrec_fusion._compat import tf
from tfrec_fusion.layers.draws import next_seed
from tfrec_fusion.models.objectives.candidates import candidate_vectors
from tfrec_fusion.models.objectives.context_dropout import hidden_contexts
from tfrec_fusion.models.objectives.event_dropout import hidden_events
from tfrec_fusion.models.objectives.history_dropout import hidden_histories
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.own_interests import own_interests
from tfrec_fusion.models.objectives.pairs import pair_vectors
from tfrec_fusion.models.objectives.sequences import sequence_vectors
from tfrec_fusion.models.objectives.targets import Targets


class ScoredBatch:
    """Examples of one kind as a `TwoTower` sees them, scored once for all of its objectives.

    Args:
      model: a `TwoTower`.
      batch: pairs, or a batch of `Interactions.batches`.
      training: whether it is training, which hides inputs at the rates of the config.

    Attributes:
      batch: the fields, some of them hidden.
    """

    def __init__(self, model, batch: Mapping[str, tf.Tensor], training: bool):
        self._model, self._training = model, training
        self.batch = _hidden(model, batch) if training else batch

    @property
    def rows(self) -> tf.Tensor:
        """The number of rows of the batch."""
        return tf.size(self.batch["user"])

    def loss(self, objective: Objective) -> tf.Tensor:
        """Returns the mean of an objective over the rows, a scalar float32."""
        return self._scored[0](objective)

    @property
    def touched(self) -> tf.Tensor | None:
        """Rows `[R]` int32 of the items whose vectors are read; None for all items."""
        return self._scored[1]

    @cached_property
    def _scored(self) -> tuple[Callable[[Objective], tf.Tensor], tf.Tensor | None]:
        model, batch, training = self._model, self.batch, self._training
        weight = batch.get("weight")
        if "item" in batch:
            users, items, targets, touched = pair_vectors(model, batch, training)
            if model.interests > 1:
                users, targets, weight = own_interests(users, items, targets, weight)
            return lambda one: one.of_vectors(targets, users, items, weight), touched
        touched = batch.get("candidate")
        if "next" in batch:
            users, items, targets = sequence_vectors(model, batch, training)
            if model.interests > 1:
                users, targets, weight = own_interests(users, items, targets, weight)
            return lambda one: one.of_candidates(targets, users, items, weight), touched
        masked = batch.get("masked", tf.zeros([0, 2], tf.int32))
        sampling = batch.get("log_q"), model.spec.n_items
        targets = Targets(batch["target"], masked, batch["is_warm"], *sampling)
        if model.interests > 1:
            users, items, *_ = candidate_vectors(model, batch, training)
            users, targets, weight = own_interests(users, items, targets, weight)
            scores = tf.matmul(users, items, transpose_b=True)
        else:
            scores = model(batch, training=training)
        return lambda one: one(targets, scores, weight), touched


def _hidden(model, batch: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    """Hides histories, contexts and features of events at the rates of the model's config."""
    config, spec = model.config, model.spec
    if config.history_dropout:
        batch = hidden_histories(batch, config.history_dropout, next_seed(model.draws))
    if spec.context_side is not None and config.context_dropout:
        seed = next_seed(model.draws)
        batch = hidden_contexts(batch, spec.context_side, config.context_dropout, seed)
    if spec.event_side is not None and config.event_dropout:
        seed = next_seed(model.draws)
        batch = hidden_events(batch, spec.event_side, config.event_dropout, seed)
    return batch
