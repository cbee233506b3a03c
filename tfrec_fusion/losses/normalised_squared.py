"""Squared distance between scores and targets, both normalised to length 1."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf

_SHORTEST = 1e-2  # the length by which shorter rows are divided


@keras.utils.register_keras_serializable("tfrec_fusion")
class NormalisedSquared(keras.layers.Layer):
    """Cosine loss: the mean over rows of `|y / |y| - x / |x||^2 = 2 - 2 cos(y, x)`.

    y are a row's scores; x is 1 at its targets, else 0. The loss of ELSA (Vancura et al., "Scalable
    Linear Shallow Autoencoder for Collaborative Filtering", 2022). It does not depend on the scale
    of a row's scores, so neither temperature nor history length matters, and it pulls the scores of
    non-targets to zero. It suits unordered data with many items per user better than a softmax. A
    row shorter than .01 is divided by .01.

    Input: `logits` `[B, C]` float; `target` `[T, 2]` int32 (row, candidate), each row at least once
      and no pair twice; `seen` `[C]` bool, the candidates to include, with all targets among them,
      or None for all; `weight` `[B]` float or None.
    Output: scalar float32, `mean_b(weight_b * loss_b)`, between 0 and 4 without weights.

    Example:
      >>> loss = NormalisedSquared()
      >>> loss(tf.constant([[3.0, 4.0]]), tf.constant([[0, 1]])).numpy().round(4)  # 2 - 2 * 4 / 5
      np.float32(0.4)
    """

    def __init__(self, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))

    def call(self, logits, target, seen=None, weight=None):
        loss = self.rows(logits, target, seen)
        return tf.reduce_mean(loss if weight is None else loss * weight)

    def rows(self, logits, target, seen=None) -> tf.Tensor:
        """Returns the loss of each row, `[B]` float32; 2 for a row without targets."""
        logits = tf.cast(logits, tf.float32)
        if seen is not None:
            logits = tf.where(seen, logits, 0.0)
        n_rows = tf.shape(logits)[0]
        rows = target[:, 0]
        hits = tf.math.unsorted_segment_sum(tf.gather_nd(logits, target), rows, n_rows)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(rows, tf.float32), rows, n_rows)
        # The root has no finite gradient at 0. Near 0, as of a new user at the start,
        # it would be so large that Adam's mean square does not forget it.
        length = tf.maximum(tf.sqrt(tf.reduce_sum(tf.square(logits), 1) + 1e-12), _SHORTEST)
        return 2.0 - 2.0 * tf.math.divide_no_nan(hits, length * tf.sqrt(counts))
