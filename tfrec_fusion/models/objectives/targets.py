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
      n_items: number of items that the candidates are taken from, or None if unknown.
    """

    target: tf.Tensor
    masked: tf.Tensor
    seen: tf.Tensor | None = None
    log_q: tf.Tensor | None = None
    n_items: int | None = None

    @classmethod
    def of_labels(cls, labels: tf.Tensor) -> Targets:
        """Builds targets from labels `[B, C]`: positives are above 0, NaN is masked."""
        labels = tf.cast(labels, tf.float32)
        target, masked = tf.where(labels > 0), tf.where(tf.math.is_nan(labels))
        return cls(tf.cast(target, tf.int32), tf.cast(masked, tf.int32))

    @property
    def uncorrected(self) -> Targets:
        """The same without `log_q`."""
        return self._replace(log_q=None)

    def between(self, start: tf.Tensor, stop: tf.Tensor) -> Targets:
        """Returns the targets of the rows from `start` to before `stop`, which become row 0 on."""

        def part(pairs):
            first, last = tf.unstack(tf.searchsorted(pairs[:, 0], tf.stack([start, stop])))
            return pairs[first:last] - tf.stack([start, 0])

        return self._replace(target=part(self.target), masked=part(self.masked))

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

    def own(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns the scores of the targets, `[T]` float32, without correction."""
        return tf.cast(tf.gather_nd(scores, self.target), tf.float32)

    def n_negatives(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns each row's number of candidates that are neither targets nor masked: `[B]`."""
        rows = tf.concat([self.target[:, 0], self.masked[:, 0]], 0)
        n_rows, n_candidates = tf.unstack(tf.shape(scores))
        taken = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, n_rows)
        return tf.cast(tf.maximum(n_candidates - taken, 0), tf.float32)

    def row_means(self, values: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """Averages values `[T]` over each row's targets: `[B]`, 0 for a row without targets."""
        return tf.math.unsorted_segment_mean(values, self.target[:, 0], tf.shape(scores)[0])
