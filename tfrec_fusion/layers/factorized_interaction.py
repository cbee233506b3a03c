"""Factorized interaction layer of FinalNet."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_choice, check_count


@keras.utils.register_keras_serializable("tfrec_fusion")
class FactorizedInteraction(keras.layers.Layer):
    """Multiplies two halves of one linear map: `h + g * h` or `[h, g * h]` of `[h, g] = W x + b`.

    Zhu et al., "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR 2023.

    Args:
      units: columns of the output.
      residual: "sum" for the first, "concat" for the second, of an even number of units.

    Input: `[..., width]` float.
    Output: `[..., units]`.

    Raises:
      ValueError: units below 1, or odd ones to concatenate.

    Example:
      >>> FactorizedInteraction(4)(tf.ones([2, 3])).shape
      TensorShape([2, 4])
    """

    def __init__(self, units: int, residual: str = "concat", **kwargs):
        super().__init__(**kwargs)
        check_count("units", units)
        check_choice("residual", residual, ("sum", "concat"))
        if residual == "concat" and units % 2:
            raise ValueError(f"units must be even with residual='concat'. Received: {units}")
        self.units, self.residual = units, residual
        columns = 2 * units if residual == "sum" else units
        self.linear = keras.layers.Dense(columns, name="linear", dtype=self.dtype_policy)

    def call(self, values):
        kept, factor = tf.split(self.linear(values), 2, -1)
        product = factor * kept
        return kept + product if self.residual == "sum" else tf.concat([kept, product], -1)

    def get_config(self):
        return super().get_config() | {"units": self.units, "residual": self.residual}
