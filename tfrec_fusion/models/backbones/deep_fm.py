"""DeepFM: a factorization machine beside a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP
from tfrec_fusion.layers.checks import checked_units
from tfrec_fusion.models.backbones.field_backbone import FieldBackbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class DeepFM(FieldBackbone):
    """DeepFM: a linear part, a factorization machine of the fields, and a deep network.

    With fields `v_i` the machine is `sum_{i<j} v_i . v_j = (|sum_i v_i|^2 - sum_i |v_i|^2) / 2`
    (Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI
    2017). The linear part and the deep network read x_0.

    Args:
      hidden: units of the deep layers, with ReLU.
      dropout: dropout rate in [0, 1) of the deep layers.

    Input: a dict of "x0", "fields", "features" and "numbers", see `FieldBackbone`.
    Output: `[B, N, width + 1 + hidden[-1]]` float32: x_0, the machine and the deep output.

    Example:
      >>> fields = {"item": tf.ones([1, 2, 4]), "user": tf.ones([1, 1, 4])}
      >>> given = {"x0": tf.ones([1, 2, 8]), "fields": fields}
      >>> given |= {"features": {}, "numbers": tf.ones([1, 2, 0])}
      >>> DeepFM(hidden=[3])(given).shape
      TensorShape([1, 2, 12])
    """

    def __init__(self, hidden: Sequence[int] = (128, 64), dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.options = {"hidden": checked_units(hidden), "dropout": dropout}
        self.deep = MLP(hidden, dropout=dropout, name="deep", dtype=self.dtype_policy)

    def interact(self, fields, x0, training=None):
        fields = tf.cast(fields, tf.float32)
        total = tf.square(tf.reduce_sum(fields, -2)) - tf.reduce_sum(tf.square(fields), -2)
        machine = 0.5 * tf.reduce_sum(total, -1, keepdims=True)
        deep = tf.cast(self.deep(x0, training=training), tf.float32)
        return tf.concat([tf.cast(x0, tf.float32), machine, deep], -1)

    def get_config(self):
        return super().get_config() | self.options
