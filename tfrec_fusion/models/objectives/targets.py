"""Targets and masks of the candidates of a batch."""

from __future__ import annotations

import math
from typing import NamedTuple

from tfrec_fusion._compat import tf
from tfrec_fusion.losses.masking import MASKED

_LOG_2 = math.log(2)


class Targets(NamedTuple):
    """Targets and masks that an `Objective` gets with the scores `[B, C]`: B rows, C candidates.

    Attributes:
      target: `[T, 2]` int32 pairs (row, candidate) of the positives, sorted by row.
      masked: `[M, 2]` int32 pairs of the masked candidates, likewise; none is a target.
      seen: `[C]` bool, True for warm candidates, or None if all are.
      log_q: `[C]` float32, the log of the expected number of times each candidate was sampled, up
        to a constant, or None without sampling.
      n_items: number of items that the candidates are taken from, or None if unknown.
      label: `[T]` float32 labels of the targets, above 0, or None if all are 1. Other candidates
        have the label 0.
    """

    target: tf.Tensor
    masked: tf.Tensor
    seen: tf.Tensor | None = None
    log_q: tf.Tensor | None = None
    n_items: int | None = None
    label: tf.Tensor | None = None

    @classmethod
    def of_labels(cls, labels: tf.Tensor) -> Targets:
        """Builds targets from labels `[B, C]`: positives are above 0, NaN is masked.

        Example:
          >>> targets = Targets.of_labels(tf.constant([[3.0, 0.0, float("nan"), 1.0]]))
          >>> targets.target.numpy().tolist(), targets.masked.numpy().tolist()
          ([[0, 0], [0, 3]], [[0, 2]])
          >>> targets.label.numpy()
          array([3., 1.], dtype=float32)
        """
        labels = tf.cast(labels, tf.float32)
        target, masked = tf.where(labels > 0), tf.where(tf.math.is_nan(labels))
        graded = tf.gather_nd(labels, target)
        return cls(tf.cast(target, tf.int32), tf.cast(masked, tf.int32), label=graded)

    @property
    def uncorrected(self) -> Targets:
        """The same without `log_q`."""
        return self._replace(log_q=None)

    def between(self, start: tf.Tensor, stop: tf.Tensor) -> Targets:
        """Returns the targets of the rows from `start` to before `stop`, which become row 0 on."""

        def within(pairs):
            return tf.unstack(tf.searchsorted(pairs[:, 0], tf.stack([start, stop])))

        first, last = within(self.target)
        begin, end = within(self.masked)
        shift = tf.stack([start, 0])
        return self._replace(
            target=self.target[first:last] - shift,
            masked=self.masked[begin:end] - shift,
            label=None if self.label is None else self.label[first:last],
        )

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

    def labels(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns the label of each candidate, `[B, C]` float32, NaN for masked candidates."""
        labels = tf.zeros(tf.shape(scores))
        off = tf.fill(tf.shape(self.masked)[:1], float("nan"))
        labels = tf.tensor_scatter_nd_update(labels, self.masked, off)
        return tf.tensor_scatter_nd_update(labels, self.target, self._graded)

    def gains(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns the gain `2^l - 1` of each target's label l, `[T]` float32, without overflow.

        The gains of a row are divided by 2 to the power of its highest label.
        """
        rows, label = self.target[:, 0], self._graded
        highest = tf.math.unsorted_segment_max(label, rows, tf.shape(scores)[0])
        return -tf.pow(2.0, label - tf.gather(highest, rows)) * tf.math.expm1(-_LOG_2 * label)

    @property
    def _graded(self) -> tf.Tensor:
        return tf.ones(tf.shape(self.target)[:1]) if self.label is None else self.label
