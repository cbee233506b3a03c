"""Base classes of the Keras models that are built from training events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from tfrec_fusion import optimizers
from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.made_from import check_made_from
from tfrec_fusion.models.finite_loss import FiniteLoss
from tfrec_fusion.models.fit_data import (
    check_data,
    check_modes,
    check_options,
    is_flat,
    warn_of_few,
)
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss
from tfrec_fusion.models.objectives.catalogue import OBJECTIVES, find_objective, find_term
from tfrec_fusion.models.objectives.joint import Joint, TermMeans
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.signed_weights import SignedWeights

_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # of a scope of TensorFlow's


class DataModel(SignedWeights):
    """Base of models whose constructor takes events or a saved spec and creates all variables.

    A subclass sets two pydantic models: `spec`, the facts taken from the events, and `config`, the
    options. Its constructor takes `(spec, name=, **options)` and calls `sign`. Its `compute_loss`
    returns the loss of a step and updates all metrics, one of them named "loss", which Keras
    reports as the mean over an epoch. Its `check_batch` raises InputError for examples that the
    model cannot be trained on.
    """

    ranks_catalogue = True
    explains = False

    def __init__(self, name: str | None = None, **options):
        if name is not None and not _NAME.fullmatch(str(name)):
            raise InputError(
                f"{type(self).__name__}: name names variables, so it must be letters, digits and "
                f"any of _ . - / > without spaces, and begin with a letter or digit. "
                f"Received: {name!r}"
            )
        super().__init__(name=name, **options)

    @property
    def reads_user_ids(self) -> bool:
        """Whether the model reads user ids, so that only training users are known."""
        return False

    @property
    def refreshes(self) -> bool:
        """Whether newer events change the scores without retraining."""
        return bool(self.spec.feature_names)

    def vector_tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns name -> values `[n_items, d]` and mask `[n_items]` of the frozen vectors."""
        layers = self.tower.frozen.items()
        return {name: (layer.matrix.numpy(), layer.mask.numpy()) for name, layer in layers}

    def compile(self, optimizer="rmsprop", *args, jit_compile=None, **options):
        """Compiles as Keras does; subclasses say what differs.

        Raises:
          InputError: `jit_compile=True`.
        """
        if jit_compile:
            raise InputError(
                f"{type(self).__name__}: compile: jit_compile is not supported: sizes differ from "
                "batch to batch, and XLA would recompile for each; leave it out. Received: True"
            )
        super().compile(optimizer, *args, jit_compile=jit_compile, **options)

    def compile_from_config(self, config):
        """Compiles a loaded model as it was compiled when it was saved."""
        _register_parts()
        self.compile(**keras.saving.deserialize_keras_object(config))
        if isinstance(self.optimizer, keras.optimizers.Optimizer):
            self.optimizer.build(self.trainable_variables)

    def check_batch(self, batch: Mapping[str, tf.Tensor | tf.TensorSpec]) -> None:
        """Raises InputError if the model cannot be trained on batches with these fields."""

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        **options,
    ):
        """Trains as Keras does, on batches of examples.

        Args:
          x: a dataset of dicts from `Interactions.batches` or `ranking_examples`.
          validation_data: such a dataset, made with `known=` the training events.
          callbacks: as in Keras. `FiniteLoss`, which stops at a loss that is not finite, is called
            first; then callbacks with a true attribute `fills_logs`, such as
            `tfrec_fusion.training.Evaluation`; then the others.
          epochs, verbose, initial_epoch, **options: as in Keras.

        Raises:
          InputError: `x` is not a dataset of batches, the model cannot be trained on them, targets
            or weights are given beside them, a callback treats a lower NDCG as better, or the loss
            is not finite.
        """
        name = type(self).__name__
        beside = {
            "y": y,
            "validation_split": validation_split or None,
            "class_weight": class_weight,
            "sample_weight": sample_weight,
        }
        check_options(name, "fit", beside)
        self._check_data("fit", x)
        if validation_data is not None:
            self._check_data("fit: validation_data", validation_data)
        if isinstance(callbacks, keras.callbacks.Callback):
            callbacks = [callbacks]
        if callbacks is None or isinstance(callbacks, list | tuple):
            callbacks = sorted(callbacks or [], key=lambda c: not getattr(c, "fills_logs", False))
            check_modes(name, callbacks)
            callbacks = [FiniteLoss(x), *callbacks]
        if initial_epoch < epochs:
            warn_of_few(name, x)
        with self._unbroken():
            return super().fit(
                x,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_data=validation_data,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
                **options,
            )

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **options
    ):
        """Evaluates as Keras does, on batches of examples: the mean losses without training.

        Raises:
          InputError: as in `fit`.
        """
        beside = {"y": y, "sample_weight": sample_weight}
        check_options(type(self).__name__, "evaluate", beside)
        if x is not None:
            self._check_data("evaluate", x)
        with self._unbroken():
            return super().evaluate(x, batch_size=batch_size, verbose=verbose, **options)

    def predict(self, x, *args, **options):
        """Predicts as Keras does.

        Raises:
          InputError: `x` are batches of other items than the model's.
        """
        check_made_from(f"{type(self).__name__}: predict", x, self)
        return super().predict(x, *args, **options)

    def train_step(self, inputs):
        """Applies one optimizer step to the loss of `compute_loss`."""
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, training=True)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, inputs):
        """Computes the loss and updates the metrics."""
        self.compute_loss(inputs, training=False)
        return {metric.name: metric.result() for metric in self.metrics}

    def _check_data(self, where: str, data) -> None:
        fields = check_data(type(self).__name__, where, data)
        check_made_from(f"{type(self).__name__}: {where}", data, self)
        if fields is None:
            return
        self.check_batch(fields)
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 and isinstance(data, tf.data.Dataset) and is_flat(fields):
            raise InputError(
                f"{type(self).__name__}: {where}: batches with flat histories cannot be split over "
                f"{replicas} devices; pass strategy.distribute_datasets_from_function(lambda "
                f"context: events.batches(...)), which gives each device its own batch. "
                f"Received: {type(data).__name__}"
            )

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Discards Keras's traced functions after an error, as a trace may be incomplete."""
        try:
            yield
        except Exception:
            self.train_function = self.test_function = None
            raise

    def get_config(self):
        return {
            "name": self.name,
            "data": self.spec.model_dump(mode="json"),
            **self.config.model_dump(mode="json"),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        _register_parts()
        return cls(**config)

    def build_from_config(self, config):
        """Does nothing: the constructor already built all variables."""


class RetrievalModel(DataModel):
    """A `DataModel` that minimises an `Objective`, a mean over the rows of a batch, or a `Joint`.

    Attributes:
      scores_repeats: whether items of the history have a further score of their own.

    Metrics over an epoch: "loss", the mean of all minimised terms; "softmax_loss", the mean of the
    objective alone, without the terms added in training; "examples", the number of rows; and
    "<name>_loss" of each term of a joint loss, before it is weighted.
    """

    scores_repeats = False

    def __init__(self, name=None):
        super().__init__(name=name, dtype="float32")
        self._objective = self._terms = None
        self.mean_minimised = keras.metrics.Mean("loss")
        self.mean_loss = keras.metrics.Mean("softmax_loss")
        self.examples = keras.metrics.Sum("examples")

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        metrics=None,
        loss_weights=None,
        weighted_metrics=None,
        **options,
    ):
        """Compiles as Keras does, with an `Objective` as loss, or several.

        Args:
          loss: an `Objective`, its class, `module:Class` of your own, or a name of `OBJECTIVES`;
            or a dict from names of your choice to these or to an `AuxiliaryLoss`, whose weighted
            sum is minimised: see `Joint`. None takes the loss of the model's config, or else the
            default for the examples.
          loss_weights: name -> weight of a term of such a dict, by default 1.

        Raises:
          InputError: another kind of loss, weights of no terms, `metrics`, or `jit_compile=True`.
        """
        name = type(self).__name__
        for key, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value:
                raise InputError(
                    f"{name}: compile: {key} is not supported, as batches have no labels; for NDCG "
                    "and recall pass the callback tfrec_fusion.training.Evaluation(split) to fit. "
                    f"Received: {value!r}"
                )
        with self.distribute_strategy.scope():
            self._take(self._resolved_objective(loss, loss_weights))
        super().compile(optimizer, loss=self._objective, **options)

    @property
    def objective(self) -> Objective | Joint | None:
        """The chosen loss; None means the default for the kind of examples."""
        if self._objective is None:
            self._take(self._resolved_objective(None))
        return self._objective

    @property
    def metrics(self):
        """The metrics, with those of the terms of a joint loss."""
        return [*super().metrics, *(self._terms.of.values() if self._terms else [])]

    def _resolved_objective(self, loss, weights=None) -> Objective | Joint | None:
        name = type(self).__name__
        if loss is None:
            loss = self.config.loss
            weights = self.config.loss_weights if weights is None else weights
        if isinstance(loss, Mapping):
            try:
                found = {key: self._resolved_term(key, term) for key, term in loss.items()}
                return Joint(found, weights)
            except InputError as error:
                told = str(error).removeprefix(f"{name}: compile: ")
                raise InputError(f"{name}: compile: {told}") from None
        if weights is not None:
            raise InputError(
                f"{name}: compile: loss_weights are for a loss of several terms, a dict from names "
                f"to losses; pass one, or leave them out. Received: loss={loss!r}"
            )
        return loss if loss is None else self._resolved_single(loss)

    def _resolved_single(self, loss) -> Objective | Joint:
        return loss if isinstance(loss, Joint) else find_objective(type(self).__name__, loss)

    def _resolved_term(self, name: str, loss) -> Objective | AuxiliaryLoss:
        return find_term(type(self).__name__, name, loss)

    def _take(self, objective: Objective | Joint | None) -> None:
        """Makes an objective the model's, with the variables and metrics that it needs."""
        self._objective, self._terms = objective, None
        if not isinstance(objective, Joint):
            return
        for name, term in objective.terms.items():
            if isinstance(term, AuxiliaryLoss):
                try:
                    self._prepare(term)
                except InputError as error:
                    model = type(self).__name__
                    raise InputError(f"{model}: compile: loss: {name!r}: {error}") from None
        self._terms = TermMeans(objective.terms)

    def _prepare(self, term: AuxiliaryLoss) -> None:
        raise InputError(
            f"{type(term).__name__} compares the parts of a TwoTower; leave it out. "
            f"Received: {type(self).__name__}"
        )

    def joined(
        self, joint: Joint, losses: Mapping[str, tf.Tensor], rows: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        """Returns the weighted sum of the terms of the model's loss, and updates their metrics.

        Args:
          joint: the loss.
          losses: name -> loss of each term.
          rows: name -> number of rows that the term's loss is a mean over.
        """
        for name, loss in losses.items():
            if self._terms is not None:
                self._terms.of[name].update_state(loss, rows[name])
        return joint.total(losses)

    def tracked(self, loss: tf.Tensor, added: tf.Tensor | float, rows: tf.Tensor) -> tf.Tensor:
        """Updates the metrics with a batch, and returns the loss that this replica minimises.

        Args:
          loss: the objective, a mean over the batch's rows.
          added: sum of the additional loss terms.
          rows: number of rows.
        """
        if self.losses:
            added += tf.add_n(self.losses)
        self.mean_loss.update_state(loss, rows)
        self.mean_minimised.update_state(loss + added, rows)
        self.examples.update_state(rows)
        # TensorFlow sums the gradients of replicas.
        return (loss + added) / tf.distribute.get_strategy().num_replicas_in_sync


def _register_parts() -> None:
    """Imports what a compiled model may have been saved with: Keras knows a class from then on."""
    for name in ("LazyAdam", "RowWiseAdagrad", "TableOptimizer", "WarmupCosine"):
        getattr(optimizers, name)
    for name in OBJECTIVES:
        OBJECTIVES.resolve(name)
