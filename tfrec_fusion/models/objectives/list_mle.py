"""Likelihood of the order of the labels."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.masking import MASKED
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets


@keras.utils.register_keras_serializable("tfrec_fusion")
class ListMLE(Objective):
    """ListMLE: the negative log likelihood of the order of the labels under a Plackett-Luce model.

    The model draws one candidate after another, each with a probability proportional to exp s. With
    L the sum of exp s over the candidates of a lower label than the target i, and G that over the
    d candidates of the same label, i among them, the loss of a row is the mean over its targets of

        log(L + (1 - k / d) G) - s_i

    where k = 0 .. d - 1 counts those of its label that are drawn before it: the labels do not tell
    their order, so each has the share k / d of its label taken away. This is Efron's treatment of
    ties, as for proportional hazards; the order of the candidates in the list has no influence.
    Targets without a candidate of a lower label are left out. Of one target it is the softmax, with
    the same log-q correction. Sources: Xia et al., "Listwise Approach to Learning to Rank" (ICML
    2008); Efron, "The Efficiency of Cox's Likelihood Function for Censored Data" (JASA 1977).

    For a block of b rows with T targets, memory holds `[T, C]` logits.

    Example:
      >>> loss = ListMLE()(tf.constant([[2, 1, 0]]), tf.zeros([1, 3]))
      >>> loss.numpy().round(4)  # (log 3 + log 2) / 2
      np.float32(0.8959)
    """

    compares = True
    blocked = True
    pairwise = True

    def call(self, y_true: Targets, y_pred):
        rows, column = tf.unstack(y_true.target, axis=1)
        labels, logits = y_true.labels(y_pred), y_true.logits(y_pred)
        own, label = tf.gather_nd(logits, y_true.target), tf.gather_nd(labels, y_true.target)
        labels, logits = tf.gather(labels, rows), tf.gather(logits, rows)
        lower, same = labels < label[:, None], labels == label[:, None]
        before = same & (tf.range(tf.shape(logits)[1]) < column[:, None])

        def count(which):
            return tf.reduce_sum(tf.cast(which, tf.float32), 1)

        def log_sum(which):
            return tf.reduce_logsumexp(tf.where(which, logits, MASKED), 1)

        left = tf.math.log(1 - count(before) / count(same))
        total = tf.reduce_logsumexp(tf.stack([log_sum(lower), left + log_sum(same)]), 0)
        told = tf.reduce_any(lower, 1)
        losses = tf.where(told, total - own, 0.0)
        n_rows = tf.shape(y_pred)[0]
        summed = tf.math.unsorted_segment_sum(losses, rows, n_rows)
        n_told = tf.math.unsorted_segment_sum(tf.cast(told, tf.float32), rows, n_rows)
        return tf.math.divide_no_nan(summed, n_told)
