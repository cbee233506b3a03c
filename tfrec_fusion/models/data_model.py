"""What the models that are built from training events have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.finite_loss import FiniteLoss
from tfrec_fusion.models.fit_data import (
    check_data,
    check_modes,
    check_options,
    is_flat,
    warn_of_few,
)
from tfrec_fusion.models.objectives.catalogue import find_objective
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.signed_weights import SignedWeights


class DataModel(SignedWeights):
    """A model whose constructor takes events or their saved description, and makes every variable.

    A subclass sets `spec`, a pydantic model of what it took from the events, and `config`, one of
    its options, and its constructor takes `(spec, name=, **options)` and calls `sign`. Its
    `compute_loss` gives what a step minimises and updates all metrics, one of them called "loss",
    which Keras then reports as the mean over an epoch; its `check_batch` refuses examples that it
    cannot be trained on.
    """

    ranks_catalogue = True
    explains = False

    @property
    def reads_user_ids(self) -> bool:
        """Whether it knows the users of training alone."""
        return False

    @property
    def refreshes(self) -> bool:
        """Whether newer events change its scores without training."""
        return bool(self.spec.feature_names)

    def vector_tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> values `[n_items, d]` and mask `[n_items]` of the frozen vectors it reads."""
        layers = self.tower.frozen.items()
        return {name: (layer.matrix.numpy(), layer.mask.numpy()) for name, layer in layers}

    def compile(self, optimizer="rmsprop", *args, jit_compile=None, **options):
        """As in Keras, but for what a subclass says.

        Raises:
          InputError: `jit_compile=True`.
        """
        if jit_compile:
            raise InputError(
                f"{type(self).__name__}: compile: jit_compile is not supported: sizes differ from "
                "batch to batch, and XLA would compile each anew; leave it out. Received: True"
            )
        super().compile(optimizer, *args, jit_compile=jit_compile, **options)

    def check_batch(self, batch: Mapping[str, tf.Tensor | tf.TensorSpec]) -> None:
        """Raises InputError where the model cannot be trained on batches with these fields."""

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
        """As in Keras, on batches of examples.

        Args:
          x: a dataset of dicts, as `Interactions.batches` and `ranking_examples` make them.
          validation_data: such a dataset, made with `known=` the training events.
          callbacks: as in Keras; those that say so by a true `fills_logs`, as
            `tfrec_fusion.training.Evaluation` does, are called before the others, and before all
            one that stops a training whose loss is not finite.
          epochs, verbose, initial_epoch, **options: as in Keras.

        Raises:
          InputError: anything else than batches, batches that the model cannot be trained on,
            targets and weights beside them, a callback that would take the lowest NDCG for the
            best, or a loss that is not finite.
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
        """As in Keras, on batches of examples: the mean losses of a model as it is.

        Raises:
          InputError: as `fit` does.
        """
        beside = {"y": y, "sample_weight": sample_weight}
        check_options(type(self).__name__, "evaluate", beside)
        if x is not None:
            self._check_data("evaluate", x)
        with self._unbroken():
            return super().evaluate(x, batch_size=batch_size, verbose=verbose, **options)

    def train_step(self, inputs):
        """A step of the optimizer on what `compute_loss` gives."""
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, training=True)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, inputs):
        """Updates the metrics."""
        self.compute_loss(inputs, training=False)
        return {metric.name: metric.result() for metric in self.metrics}

    def _check_data(self, where: str, data) -> None:
        fields = check_data(type(self).__name__, where, data)
        if fields is None:
            return
        self.check_batch(fields)
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 and isinstance(data, tf.data.Dataset) and is_flat(fields):
            raise InputError(
                f"{type(self).__name__}: {where}: batches with flat histories cannot be cut into "
                f"{replicas} parts, one a device; pass strategy.distribute_datasets_from_function("
                f"lambda context: events.batches(...)), a batch a device. "
                f"Received: {type(data).__name__}"
            )

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """After an error what Keras has traced may be half done, so the next call traces anew."""
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
        return cls(**config)

    def build_from_config(self, config):
        """Nothing is left to build."""


class RetrievalModel(DataModel):
    """A `DataModel` that minimises an `Objective`, a mean over the rows of a batch.

    Metrics: "loss", the mean over an epoch's rows of all that is minimised; "softmax_loss", that of
    the loss alone, without what is added in training; "examples", the rows.
    """

    def __init__(self, name=None):
        super().__init__(name=name, dtype="float32")
        self._objective = None
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
        """As in Keras.

        Args:
          loss: an `Objective`, its class, `module:Class` of your own, or a name of `OBJECTIVES`.
            None takes that of the model's config, and without one what suits the examples.

        Raises:
          InputError: another loss, metrics, weights of losses, or `jit_compile=True`.
        """
        name = type(self).__name__
        if loss_weights is not None:
            raise InputError(
                f"{name}: compile: loss_weights is not taken: there is one loss. "
                f"Received: {loss_weights!r}"
            )
        for key, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value:
                raise InputError(
                    f"{name}: compile: {key} is not taken: a batch has no labels to compare with; "
                    "for NDCG and recall pass fit the callback "
                    f"tfrec_fusion.training.Evaluation(split). Received: {value!r}"
                )
        self._objective = self._found(loss)
        super().compile(optimizer, loss=self._objective, **options)

    @property
    def objective(self) -> Objective | None:
        """The loss that was chosen; None for what suits the examples."""
        if self._objective is None:
            self._objective = self._found(None)
        return self._objective

    def _found(self, loss) -> Objective | None:
        loss = self.config.loss if loss is None else loss
        return None if loss is None else find_objective(type(self).__name__, loss)

    def tracked(self, loss: tf.Tensor, added: tf.Tensor | float, rows: tf.Tensor) -> tf.Tensor:
        """Updates the metrics by a batch, and gives what this replica minimises.

        Args:
          loss: mean over the batch's rows.
          added: what is minimised beside it.
          rows: number of rows.
        """
        if self.losses:
            added += tf.add_n(self.losses)
        self.mean_loss.update_state(loss, rows)
        self.mean_minimised.update_state(loss + added, rows)
        self.examples.update_state(rows)
        # Gradients of replicas are summed.
        return (loss + added) / tf.distribute.get_strategy().num_replicas_in_sync
