"""DLRM: dot products of fields under a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP, DotProducts
from tfrec_fusion.layers.checks import checked_units
from tfrec_fusion.models.backbones.field_backbone import FieldBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class DLRM(FieldBackbone):
    """DLRM: `MLP([z, v_i . v_j for all pairs of fields])`, with z a network on the numbers.

    z is also one of the fields (Naumov et al., "Deep Learning Recommendation Model for
    Personalization and Recommendation Systems", 2019). It does not read x_0.

    Args:
      bottom: units of the hidden layers of the network on the numbers; a last layer has the width
        of a field.
      hidden: units of the layers on the dot products, with ReLU.
      dropout: dropout rate in [0, 1) of these layers.

    Input: a dict of "fields", "features" and "numbers", see `FieldBackbone`.
    Output: `[B, N, hidden[-1]]` float32.

    Example:
      >>> fields = {"item": tf.ones([1, 2, 4]), "user": tf.ones([1, 1, 4])}
      >>> DLRM(hidden=[3])(
      ...     {"fields": fields, "features": {}, "numbers": tf.ones([1, 2, 5])}
      ... ).shape
      TensorShape([1, 2, 3])
    """

    reads = ("fields", "features", "numbers")

    def __init__(
        self,
        bottom: Sequence[int] = (64,),
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        bottom = checked_units(bottom, "bottom")
        self.options = {"bottom": bottom, "hidden": checked_units(hidden), "dropout": dropout}
        policy = {"dtype": self.dtype_policy}
        self.products = DotProducts(name="products", **policy)
        self.top = MLP(hidden, dropout=dropout, name="top", **policy)

    def number_layer(self, dim):
        return MLP([*self.options["bottom"], dim], name="bottom", dtype=self.dtype_policy)

    def interact(self, fields, x0, training=None):
        products = tf.cast(self.products(fields), fields.dtype)
        if self.has_numbers:
            products = tf.concat([fields[..., -1, :], products], -1)
        return tf.cast(self.top(products, training=training), tf.float32)

    def get_config(self):
        return super().get_config() | self.options
