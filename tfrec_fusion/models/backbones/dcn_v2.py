"""DCN-v2: cross layers in parallel to a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf, tfrs
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class DCNv2(Backbone):
    """Parallel DCN-v2: cross layers and a deep network, both on x_0 (Wang et al., WWW 2021).

    A cross layer is `x_{l+1} = x_0 * (U V x_l + b) + x_l`, of rank width / 4.

    Args:
      cross_layers: number of cross layers; with 0 the cross output is x_0.
      hidden: units of the deep layers; without any the deep output is x_0.
      dropout: dropout rate in [0, 1) of the deep layers.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., width + hidden[-1]]` float32, the cross output and the deep output concatenated.

    Example:
      >>> DCNv2(hidden=[3])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 11])
    """

    def __init__(
        self,
        cross_layers: int = 2,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cross_layers, self.hidden, self.rate = cross_layers, list(hidden), dropout

    def build(self, input_shape):
        rank = max(input_shape[-1] // 4, 1)
        policy = {"dtype": self.dtype_policy}
        self.crosses = [
            tfrs.layers.dcn.Cross(rank, name=f"cross_{index}", **policy)
            for index in range(self.cross_layers)
        ]
        self.deep = [
            keras.layers.Dense(units, "relu", name=f"deep_{index}", **policy)
            for index, units in enumerate(self.hidden)
        ]
        self.dropout = keras.layers.Dropout(self.rate, **policy)
        super().build(input_shape)

    def call(self, x0, training=None):
        crossed = deep = x0
        for layer in self.crosses:
            crossed = layer(x0, crossed)
        for layer in self.deep:
            deep = self.dropout(layer(deep), training=training)
        return tf.concat([tf.cast(crossed, tf.float32), tf.cast(deep, tf.float32)], -1)

    def get_config(self):
        return super().get_config() | {
            "cross_layers": self.cross_layers,
            "hidden": list(self.hidden),
            "dropout": self.rate,
        }
