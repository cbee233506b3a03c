"""Head for a label of several classes."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count
from tfrec_fusion.models.heads.head import Head


@keras.utils.register_keras_serializable("tfrec_fusion")
class MultiClassHead(Head):
    """Predicts the probabilities of classes 0 to C - 1 by a softmax; the metric is accuracy.

    The loss is cross entropy. As one number, to rank by, the prediction is the expected class.

    Args:
      classes: C, at least 2.
      **options: see `Head`; sampled negatives are left out.

    Output: logits `[..., C]` float32.

    Example:
      >>> MultiClassHead(classes=3)(tf.ones([2, 4])).shape
      TensorShape([2, 3])
    """

    def __init__(
        self,
        label=None,
        weight=1.0,
        negatives=None,
        loss=None,
        hidden=(),
        classes: int = 2,
        **kwargs,
    ):
        super().__init__(label, weight, negatives, loss, hidden, **kwargs)
        check_count("classes", classes, 2)
        self.classes = classes

    @property
    def units(self):
        return self.classes

    def default_loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def default_metrics(self):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def prediction(self, outputs):
        return tf.nn.softmax(outputs)

    def value(self, outputs):
        return tf.linalg.matvec(self.prediction(outputs), tf.range(self.classes, dtype=tf.float32))

    @property
    def meaning(self):
        return "the probabilities of its classes"

    @property
    def shape(self):
        return f"[B, N, {self.classes}]"

    def check_labels(self, labels):
        wrong = labels[(labels % 1 != 0) | (labels < 0) | (labels >= self.classes)]
        if len(wrong):
            raise ValueError(
                f"must hold whole numbers from 0 to {self.classes - 1}. Received: {wrong[0]:g}"
            )

    def get_config(self):
        return super().get_config() | {"classes": self.classes}
