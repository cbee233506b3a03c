"""Mask block of MaskNet."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers.checks import check_count, check_rate
from tfrec_fusion.layers.resumable_dropout import ResumableDropout


@keras.utils.register_keras_serializable("tfrec_fusion")
class MaskBlock(keras.layers.Layer):
    """Masks a vector by the features of its row: `relu(LN(W (m * v)))`, `m = A relu(B e + b) + a`.

    Wang et al., "MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by
    Instance-Guided Mask", DLP-KDD 2021.

    Args:
      units: columns of the output.
      reduction: hidden units of the mask's network, in multiples of the width of v.
      dropout: rate in [0, 1).

    Input: a list of e and v, `[..., any width]` float.
    Output: `[..., units]`.

    Raises:
      ValueError: units below 1, a reduction that is not above 0, or a rate outside [0, 1).

    Example:
      >>> MaskBlock(4)([tf.ones([2, 6]), tf.ones([2, 3])]).shape
      TensorShape([2, 4])
    """

    def __init__(self, units: int, reduction: float = 1.0, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        check_count("units", units)
        check_rate(dropout)
        if not isinstance(reduction, int | float) or not reduction > 0:
            raise ValueError(f"reduction must be above 0. Received: {reduction}")
        self.options = {"units": units, "reduction": reduction, "dropout": dropout}

    def build(self, input_shape):
        policy, width = {"dtype": self.dtype_policy}, input_shape[1][-1]
        units = max(int(width * self.options["reduction"]), 1)
        self.mask_hidden = keras.layers.Dense(units, "relu", name="mask_hidden", **policy)
        self.mask = keras.layers.Dense(width, name="mask", **policy)
        self.linear = keras.layers.Dense(
            self.options["units"], use_bias=False, name="linear", **policy
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm", **policy)
        self.dropout = ResumableDropout(self.options["dropout"], name="dropout", **policy)
        super().build(input_shape)

    def call(self, inputs, training=None):
        guide, values = inputs
        masked = self.mask(self.mask_hidden(guide)) * values
        hidden = keras.activations.relu(self.norm(self.linear(masked)))
        return self.dropout(hidden, training=training)

    def get_config(self):
        return super().get_config() | self.options
