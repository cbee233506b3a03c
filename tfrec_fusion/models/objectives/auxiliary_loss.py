"""Base class of the losses that compare parts of a model with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import tf


class AuxiliaryLoss:
    """A loss of a `TwoTower` and a batch that compares no scores with targets: a term of `Joint`.

    A subclass implements `of_model`, adds the constructor's arguments to `get_config`, and is
    registered in Keras to load it with a saved model.

    Example:
      >>> class SmallBiases(AuxiliaryLoss):
      ...     def of_model(self, model, batch):
      ...         return tf.nn.l2_loss(model.bias)
      >>> float(SmallBiases().of_model(model, {})) >= 0
      True
    """

    def of_model(self, model, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the loss of a batch, a scalar float32."""
        raise NotImplementedError

    def prepare(self, model) -> None:
        """Creates the variables that the loss needs in a model; `compile` calls it.

        Raises:
          InputError: the model cannot have this loss.
        """

    def check(self, model: str, batch) -> None:
        """Raises InputError if this loss does not support batches with these fields."""

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
