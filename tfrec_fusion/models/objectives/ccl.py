"""Cosine contrastive loss."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class CCL(Objective):
    """Cosine contrastive loss: targets are pulled to 1, negatives above a margin are pushed down.

    With s+ a target and s_j the n negatives of a row,

        loss = max(0, 1 - s+) + (negative_weight / n) sum_j max(0, s_j - margin)

    and the first term is the mean over the row's targets. Negatives below the margin have no
    gradient. It is meant for cosines, i.e. `AlphaRec(temperature=1)`, where 1 - s+ is never
    negative; the maximum keeps it bounded for the scores of a `TwoTower` too. It does not use log
    q. Source: SimpleX (Mao et al., CIKM 2021).

    Args:
      margin: cosine from which a negative counts.
      negative_weight: weight of the mean over negatives.

    Raises:
      InputError: the margin is not below 1, or the weight is negative.

    Example:
      >>> loss = CCL(margin=0.5, negative_weight=4)
      >>> loss(tf.constant([[1, 0, 0]]), tf.constant([[0.75, 1.0, 0.25]])).numpy()  # 1/4 + 4/2/2
      np.float32(1.25)
    """

    blocked = True

    def __init__(self, margin: float = 0.4, negative_weight: float = 50.0, **kwargs):
        super().__init__(**kwargs)
        if not margin < 1:
            raise InputError(f"CCL: margin must be below 1. Received: {margin!r}")
        if not negative_weight >= 0:
            raise InputError(
                f"CCL: negative_weight must not be negative. Received: {negative_weight!r}"
            )
        self.margin, self.negative_weight = margin, negative_weight

    def call(self, y_true: Targets, y_pred):
        targets = y_true.uncorrected
        # A masked candidate is far below the margin.
        over = tf.reduce_sum(tf.nn.relu(targets.negatives(y_pred) - self.margin), 1)
        over /= tf.maximum(targets.n_negatives(y_pred), 1.0)
        positive = targets.row_means(tf.nn.relu(1 - targets.own(y_pred)), y_pred)
        return positive + self.negative_weight * over

    def get_config(self):
        return super().get_config() | {
            "margin": self.margin,
            "negative_weight": self.negative_weight,
        }
