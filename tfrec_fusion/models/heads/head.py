"""Base class of the prediction heads of a ranker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_choice, checked_units
from tfrec_fusion.layers.mlp import MLP

LABEL = "label"
"""The label of the events themselves: taken, or an impression."""
_OF_NEGATIVES = {"zero": 0.0, "missing": math.nan}


class Head(keras.layers.Layer):
    """Predicts one label of a ranker's items from a representation.

    A subclass defines `default_loss`, and what differs of `units`, `negatives`, `default_metrics`,
    `prediction`, `value`, `score`, `measured`, `check_labels` and `check_others`. The output, what
    losses compare with labels, is linear in the representation, or in that of its own layers.

    Args:
      label: "label", the label of the events, or a name of `Interactions.labels`; None is chosen by
        the ranker.
      weight: weight of its loss in the sum over heads, at least 0.
      negatives: the label of sampled negatives: "zero", or "missing" to leave them out; None takes
        the default of the class.
      loss: the name of a Keras loss or of an `Objective`, or `module:Class` of your own; None is
        `default_loss()`.
      hidden: units of its own layers, with ReLU, before the linear one.

    Attributes:
      units: numbers of an output.
      of_negatives: the default of `negatives`.
      given: the name of a head that this one is conditioned on, or None.
      likelihood: what times the default loss is a negative log-likelihood, up to a constant, of
        variance 1; for uncertainty weighting.

    Input: the representation `[..., columns]` float.
    Output: `[...]` float32 for one unit, else `[..., units]`.

    Raises:
      ValueError: a value that is none of the above.
    """

    units = 1
    of_negatives = "missing"
    given: str | None = None
    likelihood = 1.0

    def __init__(
        self,
        label: str | None = None,
        weight: float = 1.0,
        negatives: str | None = None,
        loss: str | None = None,
        hidden: Sequence[int] = (),
        **kwargs,
    ):
        super().__init__(**({"dtype": "float32"} | kwargs))
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight < math.inf:
            raise ValueError(f"weight must be a finite number of at least 0. Received: {weight!r}")
        for name, value in (("label", label), ("loss", loss)):
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{name} must be a name or None. Received: {value!r}")
        if negatives is not None:
            check_choice("negatives", negatives, _OF_NEGATIVES)
        self.label, self.weight, self.negatives, self.loss = label, float(weight), negatives, loss
        self.hidden = checked_units(hidden)

    def build(self, input_shape):
        if self.hidden:
            self.network = MLP(self.hidden, dtype=self.dtype, name="network")
        self.linear = keras.layers.Dense(self.linear_units, dtype=self.dtype, name="linear")
        super().build(input_shape)

    @property
    def linear_units(self) -> int:
        """Units of its linear layer, as many as those of an output unless it adds others."""
        return self.units

    @property
    def field(self) -> str:
        """The field of a batch with its labels."""
        return LABEL if self.label in (None, LABEL) else f"{LABEL}/{self.label}"

    def call(self, representation):
        if self.hidden:
            representation = self.network(representation)
        outputs = self.linear(representation)
        return tf.squeeze(outputs, -1) if self.units == 1 else outputs

    def joined(self, outputs: tf.Tensor, others: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns its outputs, given those of the heads before it by name."""
        return outputs

    def labels(self, batch: Mapping[str, tf.Tensor], without: tf.Tensor | None = None) -> tf.Tensor:
        """Returns its labels of a batch float32, in the shape of `item`, NaN where missing.

        Args:
          batch: the batch.
          without: bool in the shape of `item`, True where the label is 0 because the one that it
            needs is; None for nowhere.
        """
        labels = tf.cast(batch[self.field], tf.float32)
        if without is not None:
            labels = tf.where(without, 0.0, labels)
        if "is_sampled" not in batch:
            return labels
        return tf.where(batch["is_sampled"], _OF_NEGATIVES[self._of_negatives], labels)

    def examples(
        self,
        batch: Mapping[str, tf.Tensor],
        outputs: tf.Tensor,
        labels: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns labels `[n, 1]`, outputs `[n, units]`, weights `[n]` or None where labelled.

        Args:
          batch: the batch; its `weight` `[B]`, if there, weights the rows.
          outputs: of all its items.
          labels: of all its items; None takes `labels(batch)`.
        """
        found = tf.reshape(self.labels(batch) if labels is None else labels, [-1, 1])
        outputs = tf.reshape(outputs, [-1, self.units])
        weights = batch.get("weight")
        if weights is not None:
            weights = tf.repeat(weights, tf.size(found) // tf.size(weights))
        if self.field == LABEL and self._of_negatives == "zero":  # never missing
            return found, outputs, weights
        known = ~tf.math.is_nan(found[:, 0])
        if weights is not None:
            weights = weights[known]
        return found[known], outputs[known], weights

    def lists(
        self,
        batch: Mapping[str, tf.Tensor],
        outputs: tf.Tensor,
        labels: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns labels `[B, N]`, NaN if missing, scores `[B, N]`, and weights `[B]` or None."""
        shape = tf.stack([tf.shape(batch["user"])[0], -1])
        labels = tf.reshape(self.labels(batch) if labels is None else labels, shape)
        return labels, tf.reshape(self.score(outputs), shape), batch.get("weight")

    def default_loss(self) -> keras.losses.Loss:
        """Returns the default loss of labels `[n, 1]` and outputs `[n, units]`."""
        raise NotImplementedError

    def default_metrics(self) -> list[keras.metrics.Metric]:
        """Returns the weighted metrics of labels and `measured` that go with the default loss."""
        return []

    def prediction(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns what exports answer, `[...]` or `[..., more]`, in the unit of the label."""
        return outputs

    def value(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the prediction as one number `[...]`, for a weighted sum over heads."""
        return self.prediction(outputs)

    def score(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns what items are ranked by, `[...]`."""
        return self.value(outputs)

    def measured(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns what metrics compare with labels."""
        return self.prediction(outputs)

    @property
    def meaning(self) -> str:
        """What its prediction is, in words, for the card of an export."""
        return "the predicted value"

    @property
    def shape(self) -> str:
        """The shape of its prediction for B users and N items, for the card of an export."""
        return "[B, N]"

    def check_labels(self, labels: np.ndarray) -> None:
        """Raises ValueError for labels `[n]`, none of them missing, that it cannot learn."""

    def check_others(self, labels: Mapping[str, np.ndarray]) -> None:
        """Raises ValueError if it reads another of `Interactions.labels` and cannot."""

    @property
    def _of_negatives(self) -> str:
        return self.negatives or self.of_negatives

    def get_config(self):
        return super().get_config() | {
            "label": self.label,
            "weight": self.weight,
            "negatives": self.negatives,
            "loss": self.loss,
            "hidden": self.hidden,
        }
