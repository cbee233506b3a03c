"""MMoE: a gated mixture of expert networks."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import MixtureOfExperts
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class MMoE(Backbone):
    """Mixture of expert networks: `sum_e softmax(G_k x_0)_e f_e(x_0)` (Ma et al., KDD 2018).

    It has a gate G_k for each head of the ranker.

    Args:
      experts: number of experts.
      hidden: units of an expert's layers, with ReLU.
      gate_hidden: units of hidden layers of the gate; none as in the paper.
      dropout: dropout rate in [0, 1) of the experts.
      tasks: number of heads, set by the ranker; None for one gate.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., hidden[-1]]` float32; with `tasks` `[..., tasks, hidden[-1]]`.

    Example:
      >>> MMoE(experts=3, hidden=[4])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 4])
    """

    splits_tasks = True

    def __init__(
        self,
        experts: int = 4,
        hidden: Sequence[int] = (128, 64),
        gate_hidden: Sequence[int] = (),
        dropout: float = 0.0,
        tasks: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tasks = tasks
        gates = 1 if tasks is None else tasks
        self.mixture = MixtureOfExperts(
            experts, hidden, gates, gate_hidden, dropout, name="mixture", dtype=self.dtype_policy
        )

    def call(self, x0, training=None):
        mixed = tf.cast(self.mixture(x0, training=training), tf.float32)
        return tf.squeeze(mixed, -2) if self.tasks is None else mixed

    def get_config(self):
        options = {name: value for name, value in self.mixture.options.items() if name != "gates"}
        return super().get_config() | options | {"tasks": self.tasks}
