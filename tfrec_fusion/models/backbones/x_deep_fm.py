"""xDeepFM: a compressed interaction network beside a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP, CompressedInteraction
from tfrec_fusion.layers.checks import checked_units
from tfrec_fusion.models.backbones.field_backbone import FieldBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class XDeepFM(FieldBackbone):
    """xDeepFM: a linear part, a compressed interaction network of the fields, and a deep network.

    Lian et al., KDD 2018; for the formula see `CompressedInteraction`. The linear part and the deep
    network read x_0.

    Args:
      maps: number of fields of each layer of the interaction network.
      hidden: units of the deep layers, with ReLU.
      dropout: dropout rate in [0, 1) of the deep layers.

    Input: a dict of "x0", "fields", "features" and "numbers", see `FieldBackbone`.
    Output: `[B, N, width + sum(maps) + hidden[-1]]` float32.

    Example:
      >>> fields = {"item": tf.ones([1, 2, 4]), "user": tf.ones([1, 1, 4])}
      >>> given = {"x0": tf.ones([1, 2, 8]), "fields": fields}
      >>> given |= {"features": {}, "numbers": tf.ones([1, 2, 0])}
      >>> XDeepFM(maps=[5, 2], hidden=[3])(given).shape
      TensorShape([1, 2, 18])
    """

    def __init__(
        self,
        maps: Sequence[int] = (32, 32),
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        maps, hidden = checked_units(maps, "maps"), checked_units(hidden)
        self.options = {"maps": maps, "hidden": hidden, "dropout": dropout}
        policy = {"dtype": self.dtype_policy}
        self.interactions = CompressedInteraction(maps, name="interactions", **policy)
        self.deep = MLP(hidden, dropout=dropout, name="deep", **policy)

    def interact(self, fields, x0, training=None):
        parts = [x0, self.interactions(fields), self.deep(x0, training=training)]
        return tf.concat([tf.cast(part, tf.float32) for part in parts], -1)

    def get_config(self):
        return super().get_config() | self.options
