"""Stack of factorized interaction layers, of FinalNet."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras
from tfrec_fusion.layers.checks import check_rate, checked_units
from tfrec_fusion.layers.factorized_interaction import FactorizedInteraction
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class FactorizedNetwork(keras.layers.Layer):
    """Layers `x <- dropout(BN(f(x)))` of factorized interactions f, without an activation.

    Args:
      hidden: units of the layers.
      residual: "concat" or "sum", see `FactorizedInteraction`.
      batch_norm: whether each layer ends in batch normalisation.
      dropout: rate in [0, 1) after each layer.

    Input: `[..., width]` float.
    Output: `[..., hidden[-1]]`.

    Raises:
      ValueError: no layer, units below 1, or another option with another value.

    Example:
      >>> FactorizedNetwork([6, 4])(tf.ones([2, 3])).shape
      TensorShape([2, 4])
    """

    def __init__(
        self,
        hidden: Sequence[int],
        residual: str = "concat",
        batch_norm: bool = True,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_rate(dropout)
        hidden = checked_units(hidden, least=1)
        self.options = {
            "hidden": hidden,
            "residual": residual,
            "batch_norm": bool(batch_norm),
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        self.interactions = [
            FactorizedInteraction(units, residual, name=f"layer_{index}", **policy)
            for index, units in enumerate(hidden)
        ]
        self.norms = [
            keras.layers.BatchNormalization(
                epsilon=1e-5, momentum=0.9, name=f"norm_{index}", **policy
            )
            for index in range(len(hidden))
            if batch_norm
        ]
        self.dropouts = [
            ResumableDropout(dropout, name=f"dropout_{index}", **policy)
            for index in range(len(hidden))
        ]

    def call(self, values, training=None):
        for index, layer in enumerate(self.interactions):
            values = layer(values)
            if self.norms:
                values = self.norms[index](values, training=training)
            values = self.dropouts[index](values, training=training)
        return values

    def get_config(self):
        return super().get_config() | self.options
