"""Head for amounts that are often zero."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses.zero_inflated_log_normal import ZeroInflatedLogNormal, log_normal_scale
from tfrec_fusion.models.heads.head import Head


@keras.utils.register_keras_serializable("tfrec_fusion")
class ZeroInflatedLogNormalHead(Head):
    """Predicts an amount such as what is spent: 0 with probability 1 - p, and else log-normal.

    The prediction is `p exp(mu + sigma^2 / 2)`, the loss `losses.ZeroInflatedLogNormal`, the metric
    absolute error.

    Args:
      **options: see `Head`; sampled negatives are left out.

    Output: (logit of p, mu, inverse softplus of sigma), `[..., 3]` float32.

    Example:
      >>> ZeroInflatedLogNormalHead()(tf.ones([2, 4])).shape
      TensorShape([2, 3])
    """

    units = 3

    def default_loss(self):
        return ZeroInflatedLogNormal()

    def default_metrics(self):
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def prediction(self, outputs):
        mean = tf.exp(outputs[..., 1] + 0.5 * log_normal_scale(outputs) ** 2)
        return tf.sigmoid(outputs[..., 0]) * mean

    @property
    def meaning(self):
        return "the expected amount"

    def check_labels(self, labels):
        wrong = labels[labels < 0]
        if len(wrong):
            raise ValueError(f"must hold amounts of at least 0. Received: {wrong[0]:g}")
