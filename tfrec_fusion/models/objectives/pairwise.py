"""Base class of the losses over pairs of a target and a negative."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


class PairwiseObjective(Objective):
    """A loss over the differences between the scores of negatives and targets.

    The loss of a row is the mean over its targets and negatives of `pair_loss(s_j - s+)`, which
    a subclass implements; it must be 0 for the difference -1e9 of masked candidates. A row without
    negatives has the loss 0. It does not use log q.

    For a block of b rows with T targets, memory holds `[T, C]` differences.
    """

    blocked = True

    def pair_loss(self, behind: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each pair from how far its target is behind the negative."""
        raise NotImplementedError

    def call(self, y_true: Targets, y_pred):
        targets = y_true.uncorrected
        rows = targets.target[:, 0]
        negatives = tf.gather(targets.negatives(y_pred), rows)
        losses = self.pair_loss(negatives - targets.own(y_pred)[:, None])
        count = tf.gather(targets.n_negatives(y_pred), rows)
        return targets.row_means(tf.reduce_sum(losses, 1) / tf.maximum(count, 1.0), y_pred)
