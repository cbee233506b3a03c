"""Targets and masks of the candidates of a batch."""

from __future__ import annotations

from typing import NamedTuple

from tfrec_fusion._compat import tf
from tfrec_fusion.losses.masking import MASKED


class Targets(NamedTuple):
    """Targets and masks that an `Objective` gets with the scores `[B, C]`: B rows, C candidates.

    Attributes:
      target: `[T, 2]` int32 pairs (row, candidate) of the positives, sorted by row.
      masked: `[M, 2]` int32 pairs of the masked candidates, likewise; none is a target.
      seen: `[C]` bool, True for warm candidates, or None if all are.
      log_q: `[C]` float32, the log of the expected number of times each candidate was sampled, up
        to a constant, or None without sampling.
    """

    target: tf.Tensor
    masked: tf.Tensor
    seen: tf.Tensor | None = None
    log_q: tf.Tensor | None = None

    @classmethod
    def of_labels(cls, labels: tf.Tensor) -> Targets:
        """Builds targets from labels `[B, C]`: positives are above 0, NaN is masked."""
        labels = tf.cast(labels, tf.float32)
        target, masked = tf.where(labels > 0), tf.where(tf.math.is_nan(labels))
        return cls(tf.cast(target, tf.int32), tf.cast(masked, tf.int32))

    def logits(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns `scores - log_q` float32, with -1e9 for masked candidates."""
        logits = tf.cast(scores, tf.float32)
        if self.log_q is not None:
            logits -= self.log_q
        off = tf.fill(tf.shape(self.masked)[:1], tf.constant(MASKED))
        return tf.tensor_scatter_nd_update(logits, self.masked, off)

    def negatives(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns `logits` with -1e9 for the targets too."""
        off = tf.fill(tf.shape(self.target)[:1], tf.constant(MASKED))
        return tf.tensor_scatter_nd_update(self.logits(scores), self.target, off)

    def row_means(self, values: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """Averages values `[T]` over each row's targets: `[B]`, 0 for a row without targets."""
        return tf.math.unsorted_segment_mean(values, self.target[:, 0], tf.shape(scores)[0])
