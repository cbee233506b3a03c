"""Head for a binary label."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.models.heads.head import Head


@keras.utils.register_keras_serializable("tfrec_fusion")
class BinaryHead(Head):
    """Predicts the logit of a label in {0, 1}; the loss is cross entropy, the metric AUC.

    Example:
      >>> BinaryHead()(tf.ones([2, 3, 4])).shape
      TensorShape([2, 3])
    """

    def default_loss(self):
        return keras.losses.BinaryCrossentropy(from_logits=True)

    def default_metrics(self):
        return [keras.metrics.AUC(from_logits=True, name="auc")]
