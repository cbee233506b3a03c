"""Ranking: predicts the probability that a user interacts with an item in a context."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.distillation import TEACHER
from tfrec_fusion.features.label_rates import LABEL_RATES
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.layers.draws import add_draws, next_seed
from tfrec_fusion.losses import LogitDistillation
from tfrec_fusion.models.adversarial import no_perturbation, perturbation
from tfrec_fusion.models.backbones.backbones import make_backbone, representations
from tfrec_fusion.models.building import (
    check_features,
    check_sides,
    check_vocabularies,
    check_width,
    checked,
    fitted_numbers,
    precision_of,
    side_values,
)
from tfrec_fusion.models.calibration.applied import calibrated_answers, without_calibration
from tfrec_fusion.models.calibration.calibration import Calibration
from tfrec_fusion.models.data_model import DataModel
from tfrec_fusion.models.heads.head import LABEL
from tfrec_fusion.models.heads.head_losses import (
    HeadLosses,
    check_metrics,
    head_losses,
    head_weights,
    measured_columns,
)
from tfrec_fusion.models.heads.heads import Heads
from tfrec_fusion.models.heads.registry import check_inputs, make_heads
from tfrec_fusion.models.objectives.context_dropout import hidden_contexts
from tfrec_fusion.models.objectives.event_dropout import hidden_events
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.ranker_config import RankerConfig
from tfrec_fusion.models.ranker_data import described, example
from tfrec_fusion.models.ranker_features import RankerFeatures
from tfrec_fusion.models.ranker_scorer import RankerScorer
from tfrec_fusion.models.serving.ranker_serving import RankerServing
from tfrec_fusion.models.towers.item_tower import ItemTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class Ranker(DataModel):
    """Ranking model: a neural network over ids, text, features, history and context.

    The input x_0 concatenates the features of a user, an item and a context:

    - v, the item's fused id, vectors and declared features (`ItemTower`);
    - u, the user vector: a linear map of two pools of the history's fused vectors
      (`HistoryPooling`), an embedding of the user id, or the sum of both, plus a vector of the
      user's declared features; and the product u * v;
    - similarities of the item to the history's items (`HistoryMatch`), by v and each frozen vector;
    - the item's recency, trend and numbers, the size and recency of the history, and with
      `label_rates` how often the user's and the item's labels are positive (`LabelRates`), all
      batch-normalised; a vector of the declared features of the context (`SideFeatures`).

    The backbone, by default cross layers beside a deep network (`DCNv2`), maps x_0 to a
    representation; the logit is linear in it. An item that is cold at the cut has no id.

    Train it on the batches of `ranking_examples`. The loss is cross entropy;
    `compile(loss=...)` changes it. With several `heads` it learns and predicts several labels, and
    minimises the weighted sum of their losses. With `distillation` it also learns the logits of
    a larger model, a teacher, which `distillation_examples` adds to the batches.

    Attributes:
      heads: the prediction heads by name; the one of `label` by default.
      calibration: the `Calibration` of its probability, see `tfrec_fusion.training.calibrate`; None
        without one.
      log_variances: a trained number a head with `loss_weighting="uncertainty"`, else None.

    Args:
      data: the training events, which give sizes, vectors and whitening and are not stored in the
        model; or the `DataSpec` of a saved model.
      calibration: that of a saved model.
      **options: see `RankerConfig`.

    Raises:
      InputError: an unknown option or value, or a vector or column that the data lack.

    Example:
      >>> model = Ranker(split.train)
      >>> batches = tff.examples.ranking_examples(split.train, 512)
      >>> model.compile(tff.optimizers.adam(1e-3, steps=len(batches)))
      >>> history = model.fit(batches, verbose=0)
    """

    def __init__(
        self, data: Interactions | DataSpec | dict, *, name=None, calibration=None, **options
    ):
        # Ages and trends stay float32 under any policy; the item tower, the crosses and the deep
        # layers follow the policy.
        super().__init__(name=name, dtype="float32")
        config = checked("Ranker", RankerConfig, options)
        if isinstance(data, Interactions):
            config = config.with_features(data).with_labels(data)
        self.config = config
        self.calibration = calibration and Calibration.model_validate(calibration)
        with precision_of(self.config):
            self._make(data)

    def _make(self, data) -> None:
        self.spec, frozen = described(data, self.config)
        spec, config = self.spec, self.config
        self.sign(reads_user_ids=config.user != "history")
        self.backbone = make_backbone(config)
        fields = ("item", "user", "product", *(["context"] if spec.context_side else []))
        self.backbone.check(config.dim, fields)
        self.features = RankerFeatures(spec, config, self.backbone.reads, name="features")
        check_inputs(config.heads, spec)
        heads = make_heads(config.heads)
        self.heads = Heads(heads, config.rank_by, named=config.heads is not None)
        self.head, *self.other_heads = heads.values()
        self._head_losses = self._adversary = self.log_variances = None
        self._distillation = LogitDistillation(config.temperature)
        if config.distillation and not self.heads.score_is_logit:
            raise InputError(
                "Ranker: distillation: a teacher's logits are of the events' own label, so the "
                "ranker must rank by a binary head of it. "
                f"Received: distillation={config.distillation}"
            )
        if config.loss_weighting == "uncertainty":
            self.log_variances = self.add_weight("log_variances", [len(heads)], initializer="zeros")
        if spec.context_side or spec.event_side:
            self.draws = add_draws(self)
        self(example(spec))
        for key, (values, mask) in frozen.items():
            self.tower.frozen[key].assign(values, mask)
        if isinstance(data, Interactions):
            self.features.numbers.fit(fitted_numbers(data))
            values = side_values(data, spec)
            if spec.item_side is not None:
                self.tower.features.assign(*values["item_side"])
            if spec.user_side is not None:
                self.features.user_side.assign(*values["user_side"])

    def call(
        self,
        batch: Mapping[str, tf.Tensor],
        training=None,
        by_head: bool = False,
        perturbed: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor | dict[str, tf.Tensor]:
        """Computes scores float32 of a batch of `ranking_examples`, in the shape of its `item`.

        They are the logits of the head, or what `rank_by` makes of several.

        Args:
          batch: the batch.
          training: as in Keras.
          by_head: whether to return the outputs of each head instead, by name.
          perturbed: what is added to the fused item vectors, see `RankerFeatures`.
        """
        features = self.features(batch, training=training, perturbed=perturbed)
        output = self.backbone(features, training=training)
        read = representations(self.backbone, output, len(self.heads))
        outputs = self.heads.outputs(read, batch["item"])
        if training:
            for one, head in zip(read, self.heads.values(), strict=True):
                for loss in self.backbone.head_losses(one, head):
                    self.add_loss(loss)
        return outputs if by_head else self.heads.score(outputs)

    def answers(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Computes what an export answers, by name: "score", and calibrated probabilities."""
        return calibrated_answers(self, self(batch, training=False, by_head=True), batch)

    def make_train_function(self, force=False):
        without_calibration(self)
        return super().make_train_function(force)

    def get_config(self):
        calibration = self.calibration and self.calibration.model_dump(mode="json")
        return super().get_config() | ({"calibration": calibration} if calibration else {})

    @property
    def tower(self) -> ItemTower:
        """The layer that computes item vectors."""
        return self.features.tower

    @property
    def reads_history(self) -> bool:
        """Whether the score depends on the user's history."""
        return self.features.user_tower.reads_history

    @property
    def reads_user_ids(self) -> bool:
        """Whether the score depends on the user's id."""
        return self.features.user_tower.reads_user_ids

    @property
    def score_is_logit(self) -> bool:
        """Whether its score is the logit of the events' `label`, so that it has a probability."""
        return self.heads.score_is_logit

    def compile(
        self,
        optimizer="adam",
        loss=None,
        metrics=None,
        loss_weights=None,
        weighted_metrics=None,
        **options,
    ):
        """Compiles as Keras does; the default loss is cross entropy from logits.

        `loss` and `metrics` compare labels with logits, both `[n, 1]`. An `Objective` compares the
        items of each row `[B, N]` instead; pass the object, its name or `module:Class`. The AUC is
        a metric only with the default loss, because other losses allow labels besides 0 and 1.

        With several heads, `loss`, `loss_weights` and both kinds of metrics are dicts by names of
        heads, and what is left out is that of the head. A loss compares labels with outputs
        `[n, units]`, a metric with predictions, or with the logits of a binary head. An epoch has
        the metrics "loss", "<name>_loss" of each head before it is weighted, and "<name>_<metric>".

        Raises:
          InputError: an unknown loss or head, all weights are 0, or `jit_compile=True`.
        """
        losses, own = head_losses(self.heads, self.config.loss if loss is None else loss)
        weights = head_weights(self.heads, loss_weights)
        if len(self.heads) > 1:
            check_metrics(self.heads, metrics=metrics, weighted_metrics=weighted_metrics)
            with self.distribute_strategy.scope():
                self._head_losses = HeadLosses(self.heads, losses, weights, own)
            # Defaults are not saved, as their metrics would not be either.
            loss = {name: losses[name] for name, one in (loss or {}).items() if one is not None}
        else:
            (loss,), (defaults,), (loss_weights,) = losses.values(), own.values(), weights.values()
            weighted_metrics = [*defaults, *(weighted_metrics or [])] or None
        if self.config.adversarial:
            with self.distribute_strategy.scope():
                alone = HeadLosses(self.heads, losses, weights)
            self._adversary = self._head_losses or alone
        options |= {"loss_weights": loss_weights, "weighted_metrics": weighted_metrics}
        super().compile(optimizer, loss=loss, metrics=metrics, **options)

    @property
    def metrics(self):
        """The metrics, with those of the losses of several heads."""
        return [*(self._head_losses.metrics if self._head_losses else []), *super().metrics]

    def train_step(self, inputs):
        """Applies one optimizer step; with `adversarial` to the sum of both losses."""
        if not self.config.adversarial:
            return super().train_step(inputs)
        adversary = self._adversary
        assert adversary is not None  # compiled
        none = no_perturbation(inputs, self.config.dim, self.reads_history)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(none)
            loss = self.compute_loss(inputs, training=True, perturbed=none)
            with tape.stop_recording():
                moved = perturbation(tape.gradient(loss, none), self.config.adversarial)
            batch = self._hidden(inputs)
            outputs = self(batch, training=True, by_head=True, perturbed=moved)
            losses = adversary.losses(batch, outputs)
            total = adversary.total(losses, self.log_variances)
            loss += total / tf.distribute.get_strategy().num_replicas_in_sync
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}

    def compute_loss(self, batch, training=False, perturbed=None) -> tf.Tensor:
        """Computes the mean loss of a batch with `label` (and `weight`); in training plus ids' L2.

        Raises:
          InputError: the model cannot be trained on these examples.
        """
        self.check_batch(batch)
        if training:
            batch = self._hidden(batch)
        outputs = self(batch, training=training, by_head=True, perturbed=perturbed)
        added = list(self.losses)
        if training and self.config.use_ids and self.config.id_l2:
            rows = tf.unique(tf.reshape(batch["item"], [-1]))[0]
            touched = tf.nn.embedding_lookup(self.tower.ids.table, rows)
            added.append(self.config.id_l2 * tf.nn.l2_loss(touched))
        if training and self.config.distillation:
            added.append(self._distilled(batch, self.heads.score(outputs)))
        if self._head_losses is not None:
            losses = self._head_losses(batch, outputs, self.compiled_metrics)
            loss = tf.add_n([self._head_losses.total(losses, self.log_variances), *added])
            self._head_losses.mean.update_state(loss, tf.size(batch["item"]))
            # TensorFlow sums the gradients of replicas.
            return loss / tf.distribute.get_strategy().num_replicas_in_sync
        (outputs,) = outputs.values()
        labels, flat, weights = self.head.examples(batch, outputs)
        self.compiled_metrics.update_state(labels, measured_columns(self.head, flat), weights)
        if isinstance(self.loss, Objective):
            labels, flat, weights = self.head.lists(batch, outputs)
        return self.compiled_loss(labels, flat, weights, regularization_losses=added)

    def _hidden(self, batch):
        """The batch with some contexts and features of past events hidden, for training."""
        if self.spec.context_side is not None and self.config.context_dropout:
            rate, seed = self.config.context_dropout, next_seed(self.draws)
            batch = hidden_contexts(batch, self.spec.context_side, rate, seed)
        if self.spec.event_side is not None and self.config.event_dropout:
            rate, seed = self.config.event_dropout, next_seed(self.draws)
            batch = hidden_events(batch, self.spec.event_side, rate, seed)
        return batch

    def _distilled(self, batch, scores) -> tf.Tensor:
        """The weighted loss of the scores against the teacher's."""
        self._check_teacher(batch)
        each, weights = self._distillation.call(batch[TEACHER], scores), batch.get("weight")
        if weights is not None:
            each = tf.reshape(each, [tf.size(weights), -1]) * weights[:, None]
        mean = tf.math.divide_no_nan(tf.reduce_sum(each), tf.cast(tf.size(each), tf.float32))
        return self.config.distillation * mean

    def _check_data(self, where: str, data) -> None:
        super()._check_data(where, data)
        fields = getattr(data, "element_spec", None)
        if where == "fit" and isinstance(fields, dict):
            self._check_teacher(fields)

    def _check_teacher(self, batch) -> None:
        if self.config.distillation and TEACHER not in batch:
            raise InputError(
                f"Ranker: distillation={self.config.distillation:g} needs the logits of a teacher; "
                "pass distillation_examples(ranking_examples(events), teacher), in a run's config "
                f"examples.teacher. Received: {sorted(batch)}"
            )

    def check_batch(self, batch) -> None:
        """Raises InputError if the model cannot be trained on batches with these fields."""
        received = f"Received: {sorted(batch)}"
        for name in ("user", "item", "item_features", "is_warm"):
            if name not in batch:
                raise InputError(
                    f"Ranker: the batches have no {name!r}; pass those of "
                    f"ranking_examples(events, 1024). {received}"
                )
        if self.spec.label_rates and LABEL_RATES not in batch:
            raise InputError(
                "Ranker: it reads rates of labels, which the batches lack; pass those of "
                f"ranking_examples(events, label_rates=True). {received}"
            )
        for name, head in self.heads.items():
            if head.field not in batch:
                label = head.field.removeprefix(f"{LABEL}/")
                way = f"give the events a column {LABEL!r} or sample negatives"
                if label != LABEL:
                    way = f"read the events with labels=[{label!r}], for the head {name!r}"
                raise InputError(f"Ranker: the batches have no {head.field!r}; {way}. {received}")
        if TEACHER in batch and not self.config.distillation:
            raise InputError(
                "Ranker: the batches have a teacher's logits, which it does not read; build it "
                "with distillation=1.0, their weight in the loss, or pass batches without them. "
                f"Received: distillation={self.config.distillation:g}"
            )
        losses = [getattr(self, "loss", None)]
        if self._head_losses is not None:
            losses = self._head_losses.of.values()
        for loss in losses:
            if isinstance(loss, Objective):
                loss.check("Ranker", batch)
                if loss.compares and len(batch["item"].shape) == 1:
                    raise InputError(
                        f"Ranker: {type(loss).__name__} compares the items of a row, and these "
                        "rows have one item each, so that it would learn nothing; sample items "
                        "beside each event, ranking_examples(events, negatives=4). "
                        f"Received: items of shape {batch['item'].shape}"
                    )
        check_sides("Ranker", self.spec, batch, "ranking_examples(events")
        check_width("Ranker", self.spec, batch["item_features"])

    def scorer(self, state: State, history: int = 64) -> RankerScorer:
        """Returns a function: user rows `[B]` -> logits `[B, n_items]` float32.

        Of the context it knows only the time, that of the state.

        Args:
          state: histories and item features; its vocabularies must be those of the model.
          history: number of most recent history items to read.

        Raises:
          InputError: other vocabularies, or columns that the model reads are missing.
        """
        self.check(state.events)
        return RankerScorer(self, state, history)

    ranks_catalogue = False

    @property
    def refreshes(self) -> bool:
        """Whether newer events change the scores without retraining."""
        trends = set(self.spec.feature_names) - set(self.spec.numbers)
        return self.spec.label_rates or (self.config.trend and bool(trends))

    def serving(self, state: State, precision: str = "float32") -> RankerServing:
        """Returns the scoring graph to export, with tables and trends stored in `precision`."""
        return RankerServing(self, state, precision)

    def check(self, events: Interactions) -> None:
        """Raises InputError if the vocabularies of `events` are not those of the model.

        Also if `events` lack columns that the model reads; columns are matched by name.
        """
        check_vocabularies(self.spec, events, reads_user_ids=self.reads_user_ids)
        check_features(self.spec, events)
        self.check_weights()
