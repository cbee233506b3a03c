"""Binary cross-entropy of targets and negatives."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class BCE(Objective):
    """Binary cross-entropy: each candidate is taken or not, whatever the others are.

    With s+ a target and s_j the n negatives of a row,

        loss = (softplus(-s+) + sum_j softplus(s_j)) / (1 + n)

    where softplus(-s) = -log sigmoid(s); the first term is the mean over the row's targets. It does
    not use log q. Source: SASRec (Kang and McAuley, ICDM 2018) with one negative.

    Example:
      >>> BCE()(tf.constant([[1, 0, 0]]), tf.zeros([1, 3])).numpy().round(4)  # log 2
      np.float32(0.6931)
    """

    blocked = True

    def call(self, y_true: Targets, y_pred):
        targets = y_true.uncorrected
        n_negatives = targets.n_negatives(y_pred)
        # softplus of a masked candidate is 0.
        negative = tf.reduce_sum(tf.nn.softplus(targets.negatives(y_pred)), 1)
        positive = targets.row_means(tf.nn.softplus(-targets.own(y_pred)), y_pred)
        positive *= self.positive_weight(targets, n_negatives)
        return (positive + negative) / (1 + n_negatives)

    def positive_weight(self, targets: Targets, n_negatives: tf.Tensor) -> tf.Tensor | float:
        """Returns the weight of the targets of each row, `[B]` or one for all."""
        return 1.0
