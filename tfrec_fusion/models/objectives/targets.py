"""Which of the scored candidates a loss draws up."""

from __future__ import annotations

from typing import NamedTuple

from tfrec_fusion._compat import tf
from tfrec_fusion.losses.masking import MASKED


class Targets(NamedTuple):
    """What an `Objective` is told beside the scores `[B, C]` of B rows and C candidates.

    Attributes:
      target: `[T, 2]` int32 pairs (row, candidate), by row.
      masked: `[M, 2]` int32 pairs likewise, whose scores must not count; none is a target.
      seen: `[C]` bool, the candidates that were sold before, or None for all.
      log_q: `[C]` float32, the log of the expected number of times each candidate was sampled, up
        to a constant, or None where none was.
    """

    target: tf.Tensor
    masked: tf.Tensor
    seen: tf.Tensor | None = None
    log_q: tf.Tensor | None = None

    @classmethod
    def of_labels(cls, labels: tf.Tensor) -> Targets:
        """The targets of labels `[B, C]`: those above 0; a NaN is masked."""
        labels = tf.cast(labels, tf.float32)
        target, masked = tf.where(labels > 0), tf.where(tf.math.is_nan(labels))
        return cls(tf.cast(target, tf.int32), tf.cast(masked, tf.int32))

    def logits(self, scores: tf.Tensor) -> tf.Tensor:
        """`scores - log_q` float32, -1e9 where a score must not count."""
        logits = tf.cast(scores, tf.float32)
        if self.log_q is not None:
            logits -= self.log_q
        off = tf.fill(tf.shape(self.masked)[:1], tf.constant(MASKED))
        return tf.tensor_scatter_nd_update(logits, self.masked, off)

    def negatives(self, scores: tf.Tensor) -> tf.Tensor:
        """`logits`, and -1e9 at the targets too."""
        off = tf.fill(tf.shape(self.target)[:1], tf.constant(MASKED))
        return tf.tensor_scatter_nd_update(self.logits(scores), self.target, off)

    def row_means(self, values: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """`[B]`: the mean over each row's targets of values `[T]`; 0 for a row without any."""
        return tf.math.unsorted_segment_mean(values, self.target[:, 0], tf.shape(scores)[0])
