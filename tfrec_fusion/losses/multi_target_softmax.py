"""Softmax cross-entropy with several targets per row."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.masking import MASKED


@keras.utils.register_keras_serializable("tfrec_fusion")
class MultiTargetSoftmax(keras.layers.Layer):
    """Softmax loss: the mean over rows of the mean over targets of `logsumexp_j(s_j) - s_target`.

    Masked candidates are excluded before the exponential. `log_q` is the log of the expected number
    of times each candidate was sampled; the log-q correction `s_j - log q_j` (Bengio and Senecal
    2008) makes a sampled softmax consistent with the full one.

    Input: `logits` `[B, C]` float; `target` `[T, 2]` int32 (row, candidate) sorted by row, each
      row at least once; `masked` `[M, 2]` int32 likewise, none of them a target; `weight` `[B]`
      float or None; `log_q` `[C]` float32 or None.
    Output: scalar float32, `mean_b(weight_b * loss_b)`.

    Example:
      >>> target, masked = tf.constant([[0, 2]]), tf.constant([[0, 0], [0, 1]])
      >>> MultiTargetSoftmax()(tf.zeros([1, 4]), target, masked).numpy().round(4)
      np.float32(0.6931)
    """

    def __init__(self, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))

    def call(self, logits, target, masked, weight=None, log_q=None):
        loss = self.rows(logits, target, masked, log_q)
        return tf.reduce_mean(loss if weight is None else loss * weight)

    def rows(self, logits, target, masked, log_q=None, mass=None) -> tf.Tensor:
        """Returns the loss of each row, `[B]` float32; 0 for a row without targets.

        With `mass` `[T]` float32, each row's mean over targets is weighted by it.
        """
        logits = tf.cast(logits, tf.float32)
        if log_q is not None:
            logits -= log_q
        off = tf.fill(tf.shape(masked)[:1], tf.constant(MASKED))
        logits = tf.tensor_scatter_nd_update(logits, masked, off)
        rows = target[:, 0]
        nll = tf.gather(tf.reduce_logsumexp(logits, 1), rows) - tf.gather_nd(logits, target)
        n_rows = tf.shape(logits)[0]
        if mass is None:
            return tf.math.unsorted_segment_mean(nll, rows, n_rows)
        total = tf.math.unsorted_segment_sum(mass * nll, rows, n_rows)
        return tf.math.divide_no_nan(total, tf.math.unsorted_segment_sum(mass, rows, n_rows))
