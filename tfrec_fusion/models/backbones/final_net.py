"""FinalNet: stacks of factorized interactions that distil each other."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FactorizedNetwork
from tfrec_fusion.layers.checks import check_count, checked_units
from tfrec_fusion.models.backbones.backbone import Backbone
from tfrec_fusion.models.heads.binary_head import BinaryHead


@keras.utils.register_keras_serializable("tfrec_fusion")
class FinalNet(Backbone):
    """FinalNet: branches of factorized interaction layers; the logit is the mean of theirs.

    A layer is `BN([h, g * h])` or `BN(h + g * h)` with `[h, g] = W x + b` and no activation
    (`FactorizedNetwork`). With more than one branch each branch's probability is also trained
    towards the mean's by cross entropy, without a gradient of the mean (Zhu et al., SIGIR 2023).
    The feature gate before the first branch, which the paper has for one branch, is left out.

    Args:
      branches: number of branches.
      hidden: units of a branch's layers.
      residual: "concat" or "sum", see `FactorizedInteraction`.
      batch_norm: whether each layer ends in batch normalisation.
      distillation: weight of the branches' cross entropy in the loss; 0 for none.
      dropout: dropout rate in [0, 1) after each layer.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., branches * hidden[-1]]` float32.

    Example:
      >>> FinalNet(hidden=[4])(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 8])
    """

    def __init__(
        self,
        branches: int = 2,
        hidden: Sequence[int] = (64, 64),
        residual: str = "concat",
        batch_norm: bool = True,
        distillation: float = 1.0,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("branches", branches)
        if not isinstance(distillation, int | float) or distillation < 0:
            raise ValueError(f"distillation must be 0 or more. Received: {distillation}")
        stack = {
            "hidden": checked_units(hidden, least=1),
            "residual": residual,
            "batch_norm": bool(batch_norm),
            "dropout": dropout,
        }
        self.options = {"branches": branches, "distillation": distillation, **stack}
        self.networks = [
            FactorizedNetwork(**stack, name=f"branch_{index}", dtype=self.dtype_policy)
            for index in range(branches)
        ]

    def call(self, x0, training=None):
        outputs = [network(x0, training=training) for network in self.networks]
        return tf.cast(tf.concat(outputs, -1), tf.float32) / self.options["branches"]

    def head_losses(self, representation, head):
        """Returns the cross entropy of each branch's logit with the mean's probability.

        Heads that are not binary have no such loss.
        """
        branches, weight = self.options["branches"], self.options["distillation"]
        if branches == 1 or not weight or not isinstance(head, BinaryHead):
            return []
        teacher = tf.stop_gradient(tf.sigmoid(head(representation)))
        losses, zeros = [], tf.zeros_like(representation)
        parts = tf.split(representation, branches, -1)
        for branch, part in enumerate(parts):
            alone = tf.split(zeros, branches, -1)
            alone[branch] = part * branches
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(teacher, head(tf.concat(alone, -1)))
            losses.append(weight * tf.reduce_mean(entropy))
        return losses

    def get_config(self):
        return super().get_config() | self.options
