"""Multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras
from tfrec_fusion.layers.checks import check_choice, check_rate, checked_units
from tfrec_fusion.layers.resumable_dropout import ResumableDropout

_NORMS = {
    "batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
}


@keras.utils.register_keras_serializable("tfrec_fusion")
class MLP(keras.layers.Layer):
    """Dense layers `x <- dropout(activation(norm(W x + b)))`.

    Args:
      hidden: units of the layers; without any the output is the input.
      activation: name of a Keras activation.
      dropout: rate in [0, 1) after each layer.
      norm: "batch" or "layer" normalises before the activation; None does not.

    Input: `[..., width]` float.
    Output: `[..., hidden[-1]]`.

    Raises:
      ValueError: units below 1, a rate outside [0, 1), or an unknown activation or norm.

    Example:
      >>> MLP([8, 3])(tf.ones([2, 4, 5])).shape
      TensorShape([2, 4, 3])
    """

    def __init__(
        self,
        hidden: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        norm: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden = checked_units(hidden)
        check_rate(dropout)
        if norm is not None:
            check_choice("norm", norm, _NORMS)
        self.options = {
            "hidden": self.hidden,
            "activation": activation,
            "dropout": dropout,
            "norm": norm,
        }
        policy = {"dtype": self.dtype_policy}
        self.dense = [
            keras.layers.Dense(units, name=f"dense_{index}", **policy)
            for index, units in enumerate(self.hidden)
        ]
        self.norms = [
            _NORMS[norm](epsilon=1e-5, name=f"norm_{index}", **policy)
            for index in range(len(self.hidden))
            if norm is not None
        ]
        self.activation = keras.activations.get(activation)
        self.dropouts = [
            ResumableDropout(dropout, name=f"dropout_{index}", **policy)
            for index in range(len(self.hidden))
        ]

    def call(self, values, training=None):
        for index, (dense, dropout) in enumerate(zip(self.dense, self.dropouts, strict=True)):
            values = dense(values)
            if self.norms:
                values = self.norms[index](values, **self._mode(training))
            values = dropout(self.activation(values), training=training)
        return values

    def _mode(self, training) -> dict:
        return {"training": training} if self.options["norm"] == "batch" else {}

    def get_config(self):
        return super().get_config() | self.options
