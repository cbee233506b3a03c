"""Focal loss."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class Focal(Objective):
    """Binary cross-entropy that counts a candidate less the better it is predicted already.

    With p the predicted probability of what is true of a candidate, sigmoid(s+) of a target and
    1 - sigmoid(s_j) of a negative, the loss of a row is the mean over its candidates of

        -(1 - p)^gamma log p

    times alpha for targets and 1 - alpha for negatives, if alpha is given. gamma = 0 is the plain
    cross-entropy. Any label above 0 is a target. It does not use log q. Source: Lin et al., "Focal
    Loss for Dense Object Detection" (ICCV 2017), with gamma 2 and alpha .25.

    Args:
      gamma: how much less a well predicted candidate counts.
      alpha: weight of the targets, between 0 and 1; None weights both with 1.

    Raises:
      InputError: `gamma` is negative, or `alpha` is out of range.

    Example:
      >>> Focal()(tf.constant([[1, 0, 0]]), tf.zeros([1, 3])).numpy().round(4)  # log 2 / 4
      np.float32(0.1733)
    """

    blocked = True

    def __init__(self, gamma: float = 2.0, alpha: float | None = None, **kwargs):
        super().__init__(**kwargs)
        if gamma < 0:
            raise InputError(f"Focal: gamma must be at least 0. Received: {gamma!r}")
        if alpha is not None and not 0 <= alpha <= 1:
            raise InputError(f"Focal: alpha must be between 0 and 1, or None. Received: {alpha!r}")
        self.gamma, self.alpha = gamma, alpha

    def call(self, y_true: Targets, y_pred):
        targets, n_rows = y_true.uncorrected, tf.shape(y_pred)[0]
        rows = targets.target[:, 0]
        of_targets, of_negatives = (
            (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        )
        # The loss of a masked candidate, whose score is -1e9, is 0.
        negative = of_negatives * tf.reduce_sum(self._each(-targets.negatives(y_pred)), 1)
        positive = of_targets * self._each(targets.own(y_pred))
        positive = tf.math.unsorted_segment_sum(positive, rows, n_rows)
        n_targets = tf.math.unsorted_segment_sum(tf.ones_like(rows, tf.float32), rows, n_rows)
        count = targets.n_negatives(y_pred) + n_targets
        return tf.math.divide_no_nan(positive + negative, count)

    def _each(self, logits: tf.Tensor) -> tf.Tensor:
        """The loss of each candidate from the logit of what is true of it."""
        return tf.exp(-self.gamma * tf.nn.softplus(logits)) * tf.nn.softplus(-logits)

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma, "alpha": self.alpha}
