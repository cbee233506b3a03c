"""MMoE: a gated mixture of expert networks."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MixtureOfExperts
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class MMoE(Backbone):
    """Mixture of expert networks: `sum_e softmax(G x_0)_e f_e(x_0)` (Ma et al., KDD 2018).

    For a ranker of one label it has one gate. `MixtureOfExperts` has any number of gates, one a
    label.

    Args:
      experts: number of experts.
      hidden: units of an expert's layers, with ReLU.
      gate_hidden: units of hidden layers of the gate; none as in the paper.
      dropout: dropout rate in [0, 1) of the experts.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., hidden[-1]]` float32.

    Example:
      >>> MMoE(experts=3, hidden=[4])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 4])
    """

    def __init__(
        self,
        experts: int = 4,
        hidden: Sequence[int] = (128, 64),
        gate_hidden: Sequence[int] = (),
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.mixture = MixtureOfExperts(
            experts, hidden, 1, gate_hidden, dropout, name="mixture", dtype=self.dtype_policy
        )

    def call(self, x0, training=None):
        return tf.cast(tf.squeeze(self.mixture(x0, training=training), -2), tf.float32)

    def get_config(self):
        options = {name: value for name, value in self.mixture.options.items() if name != "gates"}
        return super().get_config() | options
