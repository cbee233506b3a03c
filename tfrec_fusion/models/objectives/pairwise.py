"""Base class of the losses over pairs of a target and a candidate below it."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.losses.masking import MASKED
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


class PairwiseObjective(Objective):
    """A loss over the differences between the scores of negatives and targets.

    The loss of a row is the mean over its pairs of `pair_loss(s_j - s+)`, which a subclass
    implements; it must be 0 for the difference -1e9 of masked candidates. A pair is a target and a
    negative; of graded labels, two candidates of which the first has the higher label. A row
    without pairs has the loss 0. It does not use log q.

    For a block of b rows with T targets, memory holds `[T, C]` differences.
    """

    compares = True
    blocked = True
    pairwise = True

    def pair_loss(self, behind: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each pair from how far its target is behind the negative."""
        raise NotImplementedError

    def call(self, y_true: Targets, y_pred):
        rows, n_rows = y_true.target[:, 0], tf.shape(y_pred)[0]
        if y_true.label is None:
            lower = tf.gather(y_true.uncorrected.negatives(y_pred), rows)
            count = tf.gather(y_true.n_negatives(y_pred), rows)
        else:
            labels = y_true.labels(y_pred)
            below = tf.gather(labels, rows) < y_true.label[:, None]
            lower = tf.where(below, tf.gather(tf.cast(y_pred, tf.float32), rows), MASKED)
            count = tf.reduce_sum(tf.cast(below, tf.float32), 1)
        losses = tf.reduce_sum(self.pair_loss(lower - y_true.own(y_pred)[:, None]), 1)
        total, pairs = (tf.math.unsorted_segment_sum(v, rows, n_rows) for v in (losses, count))
        return tf.math.divide_no_nan(total, pairs)
