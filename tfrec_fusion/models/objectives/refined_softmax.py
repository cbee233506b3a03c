"""Sampled softmax with the refined log-q correction."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class RefinedSoftmax(Objective):
    """Sampled softmax whose correction leaves the targets alone, as no sampler draws them.

    With s+ a target and s_j the other candidates of a row,

        loss = log(sum_+ exp s+ + sum_j exp(s_j - log q_j)) - s+

    averaged over the row's targets. Targets are candidates of their own row with certainty, so only
    the negatives stand for others and are divided by q_j, how often each is expected among them.
    The usual correction divides the target too, and so counts it as if it were drawn. The gradient
    is that of `sg(1 - p+) (log sum_j exp(s_j - log q_j) - s+)`, with p+ the probability of the
    target under the same estimate and sg the stop-gradient. Without `log_q` it is the softmax over
    the candidates. Source: Khrylchenko et al., "Correcting the LogQ Correction" (RecSys 2025).

    On pairs each distinct item of the batch is a candidate, and q_j is the number of pairs times
    the item's share of the events.

    Example:
      >>> targets = Targets.of_labels(tf.constant([[1, 0]]))._replace(log_q=tf.math.log([0.5, 0.1]))
      >>> RefinedSoftmax()(targets, tf.zeros([1, 2])).numpy().round(4)  # log(1 + 10)
      np.float32(2.3979)
    """

    blocked = True

    def call(self, y_true: Targets, y_pred):
        own = y_true.own(y_pred)
        logits = tf.tensor_scatter_nd_update(y_true.logits(y_pred), y_true.target, own)
        total = tf.gather(tf.reduce_logsumexp(logits, 1), y_true.target[:, 0])
        return y_true.row_means(total - own, y_pred)

    def of_vectors(self, targets, users, items, weight=None):
        if targets.log_q is not None:
            # Shares become expected numbers among all draws, over the numbers that occurred. A
            # candidate of no pair, e.g. of an earlier batch, occurred once.
            column = targets.target[:, 1]
            occurred = tf.math.bincount(column, minlength=tf.shape(items)[0], dtype=tf.float32)
            occurred = tf.maximum(occurred, 1.0)
            log_expected = targets.log_q + tf.math.log(tf.reduce_sum(occurred))
            targets = targets._replace(log_q=log_expected - tf.math.log(occurred))
        return super().of_vectors(targets, users, items, weight)
