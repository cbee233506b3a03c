"""Base class of the backbones that combine cross layers with a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP
from tfrec_fusion.layers.checks import check_choice, check_count, check_rate, checked_units
from tfrec_fusion.models.backbones.backbone import Backbone


class CrossBackbone(Backbone):
    """Runs cross layers and a deep network on x_0, side by side or one after the other.

    A subclass implements `cross(width, name)`, which makes a layer of x_0 and x_l.

    Args:
      cross_layers: number of cross layers; with 0 their output is x_0.
      hidden: units of the deep layers, with ReLU; without any they return their input.
      dropout: dropout rate in [0, 1) of the deep layers.
      structure: "parallel" for both on x_0, or "stacked" for the deep network on the crosses.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: float32; `[..., width + hidden[-1]]`, the crosses and the deep output concatenated, or
      stacked `[..., hidden[-1]]`.
    """

    def __init__(
        self,
        cross_layers: int = 2,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        structure: str = "parallel",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("cross_layers", cross_layers, 0)
        check_rate(dropout)
        check_choice("structure", structure, ("parallel", "stacked"))
        self.cross_layers, self.hidden, self.rate = cross_layers, checked_units(hidden), dropout
        self.structure = structure

    def cross(self, width: int, name: str) -> keras.layers.Layer:
        """Returns a new cross layer, a function of x_0 and x_l of the same width."""
        raise NotImplementedError

    def build(self, input_shape):
        width = input_shape[-1]
        self.crosses = [self.cross(width, f"cross_{index}") for index in range(self.cross_layers)]
        self.deep = MLP(self.hidden, dropout=self.rate, name="deep", dtype=self.dtype_policy)
        super().build(input_shape)

    def call(self, x0, training=None):
        crossed = x0
        for layer in self.crosses:
            crossed = layer(x0, crossed)
        if self.structure == "stacked":
            return tf.cast(self.deep(crossed, training=training), tf.float32)
        deep = self.deep(x0, training=training)
        return tf.concat([tf.cast(crossed, tf.float32), tf.cast(deep, tf.float32)], -1)

    def get_config(self):
        return super().get_config() | {
            "cross_layers": self.cross_layers,
            "hidden": list(self.hidden),
            "dropout": self.rate,
            "structure": self.structure,
        }
