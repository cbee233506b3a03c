"""Pairwise logistic loss weighted by the change of NDCG."""

from __future__ import annotations

import math

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class LambdaRank(Objective):
    """LambdaRank: the pairwise logistic loss, weighted by what swapping the pair does to the NDCG.

    The loss of a row is the sum over the pairs i, j of which i has the higher label of

        (G_i - G_j) |1 / D_i - 1 / D_j| softplus(s_j - s_i)

    with the gain G = 2^l - 1 of the label, divided by the DCG of the best order, and the discount
    D = log2(1 + rank) of the rank by the scores. No gradient passes through the ranks. `mu` adds
    mu (G_i - G_j) |1 / D_m - 1 / D_(m+1)| to the weight, with m the distance of the ranks and
    D_m = log2(1 + m): NDCG-Loss2++, which bounds the NDCG. Equal scores rank in the worst order, so
    that a model of constant scores learns. A row without pairs has the loss 0. It does not use
    log q. Sources: Burges et al. (NIPS 2006); Wang et al., "The LambdaLoss Framework for Ranking
    Metric Optimization" (CIKM 2018), with mu 10 for NDCG-Loss2++.

    For a block of b rows with T targets, memory holds some matrices `[T, C]`.

    Args:
      k: truncates the NDCG: pairs with both ranks beyond k have no weight. None for whole lists.
      mu: weight of the distance of the ranks.

    Raises:
      InputError: `k` is below 1, or `mu` is negative.

    Example:
      >>> loss = LambdaRank()(tf.constant([[0, 1]]), tf.zeros([1, 2]))
      >>> loss.numpy().round(4)  # (1 - 1 / log2 3) log 2
      np.float32(0.2558)
    """

    compares = True
    blocked = True
    pairwise = True

    def __init__(self, k: int | None = None, mu: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if k is not None and k < 1:
            raise InputError(f"LambdaRank: k must be at least 1, or None. Received: {k!r}")
        if mu < 0:
            raise InputError(f"LambdaRank: mu must be at least 0. Received: {mu!r}")
        self.k, self.mu = k, mu

    def call(self, y_true: Targets, y_pred):
        targets, rows = y_true.uncorrected, y_true.target[:, 0]
        labels, scores = targets.labels(y_pred), targets.logits(y_pred)
        gains = tf.tensor_scatter_nd_update(
            tf.zeros_like(scores), targets.target, targets.gains(y_pred)
        )
        ranks = tf.stop_gradient(_ranks(scores, labels))
        discounts = self._discounts(ranks)
        best = self._discounts(tf.range(1, tf.shape(scores)[1] + 1, dtype=tf.float32))
        ideal = tf.reduce_sum(tf.sort(gains, 1, "DESCENDING") * best, 1, keepdims=True)
        gains = tf.math.divide_no_nan(gains, ideal)

        def difference(values):
            return tf.gather_nd(values, targets.target)[:, None] - tf.gather(values, rows)

        weight = tf.abs(difference(discounts))
        if self.mu:
            apart = tf.abs(difference(ranks))
            near = 1 / _log2(1 + tf.maximum(apart, 1)) - 1 / _log2(2 + tf.maximum(apart, 1))
            weight += self.mu * tf.where(self._within(ranks, rows, targets), near, 0.0)
        own = tf.gather_nd(labels, targets.target)
        pairs = tf.gather(labels, rows) < own[:, None]
        weight = tf.where(pairs, weight * difference(gains), 0.0)
        # The masked score -1e9 has no pair.
        losses = tf.reduce_sum(weight * tf.nn.softplus(-difference(scores)), 1)
        return tf.math.unsorted_segment_sum(losses, rows, tf.shape(scores)[0])

    def _discounts(self, ranks: tf.Tensor) -> tf.Tensor:
        """1 / D of ranks, 0 beyond k."""
        discounts = 1 / _log2(1 + ranks)
        return discounts if self.k is None else tf.where(ranks <= self.k, discounts, 0.0)

    def _within(self, ranks, rows, targets: Targets) -> tf.Tensor:
        """Whether one of each target and candidate is among the first k."""
        if self.k is None:
            return tf.constant(True)
        first = ranks <= self.k
        return tf.gather_nd(first, targets.target)[:, None] | tf.gather(first, rows)

    def get_config(self):
        return super().get_config() | {"k": self.k, "mu": self.mu}


def _log2(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(values) / math.log(2)


def _ranks(scores: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Ranks from 1 on by descending score, and of equal scores by ascending label."""
    # The order of NaN, the label of masked candidates, is not defined.
    labels = tf.where(tf.math.is_nan(labels), float("inf"), labels)
    order = tf.argsort(labels, 1, stable=True)
    by_score = tf.argsort(-tf.gather(scores, order, batch_dims=1), 1, stable=True)
    order = tf.gather(order, by_score, batch_dims=1)
    return tf.cast(tf.argsort(order, 1), tf.float32) + 1
