"""Expected calibration error over the batches of an epoch."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import check_whole_number
from tfrec_fusion.metrics.streaming import column, row_weights


@keras.utils.register_keras_serializable("tfrec_fusion")
class ExpectedCalibrationError(keras.metrics.Metric):
    """The calibration error of all rows since the last reset, in bins of equal width.

    `metrics.expected_calibration_error` as a Keras metric; bins of equal count need all predictions
    at once. It is NaN before the first row.

    Args:
      bins: number of bins.
      from_logits: whether the predictions are logits, as those of a `Ranker`, or probabilities.

    Input: labels in [0, 1] and predictions, both `[n]` or `[n, 1]`; weights `[n]` or None.
    Output: scalar float32.

    Raises:
      InputError: `bins` is no whole number of 1 or more.

    Example:
      >>> metric = ExpectedCalibrationError()
      >>> metric.update_state([[1.0], [1.0]], [[0.0], [0.0]])
      >>> metric.result().numpy()
      np.float32(0.5)
    """

    def __init__(
        self,
        bins: int = 15,
        from_logits: bool = True,
        name: str = "expected_calibration_error",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        check_whole_number("ExpectedCalibrationError: bins", bins)
        self.bins, self.from_logits = bins, from_logits
        self.excess = self.add_weight("excess", [bins], initializer="zeros", dtype="float32")
        self.count = self.add_weight("count", initializer="zeros", dtype="float32")

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, predictions = column(y_true), column(y_pred)
        p = tf.sigmoid(predictions) if self.from_logits else predictions
        weights = row_weights(sample_weight, labels)
        bin_of = tf.clip_by_value(tf.cast(p * self.bins, tf.int32), 0, self.bins - 1)
        excess = tf.math.unsorted_segment_sum(weights * (labels - p), bin_of, self.bins)
        self.excess.assign_add(excess)
        self.count.assign_add(tf.reduce_sum(weights))

    def result(self):
        return tf.reduce_sum(tf.abs(self.excess)) / self.count

    def reset_state(self):
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def get_config(self):
        return super().get_config() | {"bins": self.bins, "from_logits": self.from_logits}
