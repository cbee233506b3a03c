"""Wide & Deep: a linear model beside a deep network."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP
from tfrec_fusion.layers.checks import checked_units
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class WideDeep(Backbone):
    """Wide & Deep: the logit is linear in x_0 and in the output of a deep network on it.

    Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016. The crossed columns of
    the wide part are declared features (`features.Cross`). The wide part is linear in the
    embeddings of categories, where the paper has one weight a category.

    Args:
      hidden: units of the deep layers, with ReLU.
      dropout: dropout rate in [0, 1) of the deep layers.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., width + hidden[-1]]` float32, x_0 and the deep output.

    Example:
      >>> WideDeep(hidden=[3])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 11])
    """

    def __init__(self, hidden: Sequence[int] = (128, 64), dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.options = {"hidden": checked_units(hidden), "dropout": dropout}
        self.deep = MLP(hidden, dropout=dropout, name="deep", dtype=self.dtype_policy)

    def call(self, x0, training=None):
        deep = self.deep(x0, training=training)
        return tf.concat([tf.cast(x0, tf.float32), tf.cast(deep, tf.float32)], -1)

    def get_config(self):
        return super().get_config() | self.options
