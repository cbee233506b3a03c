"""FinalNet: stacks of factorized interactions that distil each other."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FactorizedInteraction, ResumableDropout
from tfrec_fusion.layers.checks import check_count, check_rate, checked_units
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class FinalNet(Backbone):
    """FinalNet: branches of factorized interaction layers; the logit is the mean of theirs.

    A layer is `BN([h, g * h])` or `BN(h + g * h)` with `[h, g] = W x + b` and no activation
    (`FactorizedInteraction`). With more than one branch each branch's probability is also trained
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

    Raises:
      ValueError: an option has another value.

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
        check_rate(dropout)
        if not checked_units(hidden):
            raise ValueError("hidden must name one layer or more. Received: none")
        if not isinstance(distillation, int | float) or distillation < 0:
            raise ValueError(f"distillation must be 0 or more. Received: {distillation}")
        self.options = {
            "branches": branches,
            "hidden": list(hidden),
            "residual": residual,
            "batch_norm": bool(batch_norm),
            "distillation": distillation,
            "dropout": dropout,
        }
        policy = {"dtype": self.dtype_policy}
        places = [(branch, layer) for branch in range(branches) for layer in range(len(hidden))]
        self.interactions = [
            FactorizedInteraction(hidden[layer], residual, name=f"layer_{branch}_{layer}", **policy)
            for branch, layer in places
        ]
        self.norms = [
            keras.layers.BatchNormalization(
                epsilon=1e-5, momentum=0.9, name=f"norm_{branch}_{layer}", **policy
            )
            for branch, layer in places
            if batch_norm
        ]
        self.dropouts = [
            ResumableDropout(dropout, name=f"dropout_{branch}_{layer}", **policy)
            for branch, layer in places
        ]

    def call(self, x0, training=None):
        depth, outputs = len(self.options["hidden"]), []
        for branch in range(self.options["branches"]):
            values = x0
            for place in range(branch * depth, (branch + 1) * depth):
                values = self.interactions[place](values)
                if self.norms:
                    values = self.norms[place](values, training=training)
                values = self.dropouts[place](values, training=training)
            outputs.append(tf.cast(values, tf.float32))
        return tf.concat(outputs, -1) / self.options["branches"]

    def head_losses(self, representation, head):
        """Returns the cross entropy of each branch's logit with the mean's probability."""
        branches, weight = self.options["branches"], self.options["distillation"]
        if branches == 1 or not weight:
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
        return super().get_config() | self.options | {"hidden": list(self.options["hidden"])}
