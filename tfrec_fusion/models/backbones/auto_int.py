"""AutoInt: self-attention of fields beside a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP, FieldAttention
from tfrec_fusion.layers.checks import check_count, checked_units
from tfrec_fusion.models.backbones.field_backbone import FieldBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class AutoInt(FieldBackbone):
    """AutoInt+: layers of self-attention of the fields, and a deep network on x_0.

    Song et al., CIKM 2019; for the formula see `FieldAttention`.

    Args:
      layers: number of attention layers.
      units: columns of a field in them, a multiple of `heads`.
      heads: number of attention heads.
      scaled: whether attention logits are divided by the root of a head's columns; the paper does
        not.
      hidden: units of the deep layers, with ReLU; [] for none, as in AutoInt without the plus.
      dropout: dropout rate in [0, 1) of the deep layers.

    Input: a dict of "x0", "fields", "features" and "numbers", see `FieldBackbone`.
    Output: `[B, N, fields * units + hidden[-1]]` float32.

    Example:
      >>> fields = {"item": tf.ones([1, 2, 4]), "user": tf.ones([1, 1, 4])}
      >>> given = {"x0": tf.ones([1, 2, 8]), "fields": fields}
      >>> given |= {"features": {}, "numbers": tf.ones([1, 2, 0])}
      >>> AutoInt(units=6, hidden=[3])(given).shape
      TensorShape([1, 2, 15])
    """

    def __init__(
        self,
        layers: int = 2,
        units: int = 32,
        heads: int = 2,
        scaled: bool = False,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("layers", layers)
        self.options = {
            "layers": layers,
            "units": units,
            "heads": heads,
            "scaled": bool(scaled),
            "hidden": checked_units(hidden),
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        self.attention = [
            FieldAttention(units, heads, scaled, name=f"attention_{index}", **policy)
            for index in range(layers)
        ]
        self.deep = MLP(hidden, dropout=dropout, name="deep", **policy)

    def interact(self, fields, x0, training=None):
        for layer in self.attention:
            fields = layer(fields)
        parts = [self.flattened(fields)]
        if self.deep.hidden:
            parts.append(self.deep(x0, training=training))
        return tf.concat([tf.cast(part, tf.float32) for part in parts], -1)

    def get_config(self):
        return super().get_config() | self.options
