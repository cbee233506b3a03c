"""Normalised entropy over the batches of an epoch."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.metrics.streaming import column, row_weights


@keras.utils.register_keras_serializable("tfrec_fusion")
class NormalisedEntropy(keras.metrics.Metric):
    """The log loss of all rows since the last reset, over the entropy of their mean label.

    `metrics.normalised_entropy` as a Keras metric: 1 for a model that knows the base rate alone,
    less for a better one. It is NaN while all labels are equal.

    Args:
      from_logits: whether the predictions are logits, as those of a `Ranker`, or probabilities.

    Input: labels in [0, 1] and predictions, both `[n]` or `[n, 1]`; weights `[n]` or None.
    Output: scalar float32.

    Example:
      >>> metric = NormalisedEntropy()
      >>> metric.update_state([[1.0], [0.0]], [[0.0], [0.0]])
      >>> metric.result().numpy().round(4)
      np.float32(1.0)
    """

    def __init__(self, from_logits: bool = True, name: str = "normalised_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.from_logits = from_logits
        self.loss, self.positive, self.count = (
            self.add_weight(name, initializer="zeros", dtype="float32")
            for name in ("loss", "positive", "count")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, predictions = column(y_true), column(y_pred)
        if self.from_logits:
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, predictions)
        else:
            losses = keras.backend.binary_crossentropy(labels, predictions)
        weights = row_weights(sample_weight, labels)
        self.loss.assign_add(tf.reduce_sum(weights * losses))
        self.positive.assign_add(tf.reduce_sum(weights * labels))
        self.count.assign_add(tf.reduce_sum(weights))

    def result(self):
        loss, base = self.loss / self.count, self.positive / self.count
        entropy = -tf.math.xlogy(base, base) - tf.math.xlog1py(1 - base, -base)
        return tf.where(entropy > 0, loss / entropy, float("nan"))

    def get_config(self):
        return super().get_config() | {"from_logits": self.from_logits}
