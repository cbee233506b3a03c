"""DIN: attention of the items over the history."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MLP, TargetAttention
from tfrec_fusion.layers.checks import check_rate, checked_units
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class DIN(Backbone):
    """DIN: a network on x_0 and on the history pooled for each item.

    The pool is `sum_j a(t, h_j) h_j` with an activation unit a (Zhou et al., KDD 2018;
    `TargetAttention`). The vectors are the fused ones of `ItemTower`, changed by the declared
    features of events.

    Args:
      attention: units of the hidden layers of the activation unit.
      attention_activation: their activation.
      softmax: whether the weights of a history sum to 1; the paper's do not.
      hidden: units of the layers of the network.
      activation: their activation.
      dropout: dropout rate in [0, 1) of these layers.

    Input: a dict of "x0", "fields" and "history", see `Backbone`.
    Output: `[B, N, hidden[-1]]` float32.

    Example:
      >>> past = {"vectors": tf.ones([1, 5, 4]), "present": tf.ones([1, 5]) > 0}
      >>> given = {"x0": tf.ones([1, 2, 8]), "fields": {"item": tf.ones([1, 2, 4])}}
      >>> DIN(hidden=[3])(given | {"history": past}).shape
      TensorShape([1, 2, 3])
    """

    reads = ("x0", "fields", "history")

    def __init__(
        self,
        attention: Sequence[int] = (36,),
        attention_activation: str = "relu",
        softmax: bool = False,
        hidden: Sequence[int] = (128, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_rate(dropout)
        self.options = {
            "attention": checked_units(attention, "attention"),
            "attention_activation": attention_activation,
            "softmax": bool(softmax),
            "hidden": checked_units(hidden),
            "activation": activation,
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        self.pooling = TargetAttention(
            attention, attention_activation, softmax, name="attention", **policy
        )
        self.deep = MLP(hidden, activation, dropout, name="deep", **policy)

    def call(self, inputs, training=None):
        past = inputs["history"]
        pooled = self.pooling(inputs["fields"]["item"], past["vectors"], past["present"])
        features = tf.concat([inputs["x0"], tf.cast(pooled, inputs["x0"].dtype)], -1)
        return tf.cast(self.deep(features, training=training), tf.float32)

    def get_config(self):
        return super().get_config() | self.options
