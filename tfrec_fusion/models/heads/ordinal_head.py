"""Head for grades in an order."""

from __future__ import annotations

import math

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count
from tfrec_fusion.losses.cumulative_link import CumulativeLink
from tfrec_fusion.models.heads.head import Head


@keras.utils.register_keras_serializable("tfrec_fusion")
class OrdinalHead(Head):
    """Predicts the expected grade by a cumulative link: P(y > k) = sigmoid(f - t_k).

    f is a number for each item and t_1 < ... < t_K are thresholds for all (McCullagh, "Regression
    Models for Ordinal Data", 1980). Their distances are softplus of a variable, so they stay in
    order. The loss is the negative log-likelihood of the grade, the metric the absolute error of
    the expected one.

    Args:
      classes: number of grades, at least 2; there are K = classes - 1 thresholds.
      lowest: the first grade; the others follow in steps of 1. 1 and 5 classes for 1 to 5 stars.
      **options: see `Head`; sampled negatives are left out.

    Output: the logits of y > k, `[..., K]` float32.

    Example:
      >>> OrdinalHead(classes=5)(tf.ones([2, 3])).shape
      TensorShape([2, 4])
    """

    def __init__(
        self,
        label=None,
        weight=1.0,
        negatives=None,
        loss=None,
        hidden=(),
        classes: int = 5,
        lowest: int = 0,
        **kwargs,
    ):
        super().__init__(label, weight, negatives, loss, hidden, **kwargs)
        check_count("classes", classes, 2)
        if not isinstance(lowest, int) or isinstance(lowest, bool):
            raise ValueError(f"lowest must be a whole number. Received: {lowest!r}")
        self.classes, self.lowest = classes, lowest

    @property
    def units(self):
        return self.classes - 1

    @property
    def linear_units(self):
        return 1

    def build(self, input_shape):
        super().build(input_shape)
        start = keras.initializers.Constant(math.log(math.e - 1))  # softplus of it is 1
        self.gaps = self.add_weight("gaps", [self.classes - 2], initializer=start)

    @property
    def thresholds(self) -> tf.Tensor:
        """The thresholds `[K]` float32, up to the bias of the linear layer; the first is 0."""
        return tf.concat([[0.0], tf.cumsum(tf.nn.softplus(tf.cast(self.gaps, tf.float32)))], 0)

    def call(self, representation):
        if self.hidden:
            representation = self.network(representation)
        logits = self.linear(representation) - self.thresholds
        return tf.squeeze(logits, -1) if self.units == 1 else logits

    def default_loss(self):
        return CumulativeLink(self.lowest)

    def default_metrics(self):
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def prediction(self, outputs):
        above = tf.sigmoid(outputs)
        return self.lowest + (above if self.units == 1 else tf.reduce_sum(above, -1))

    @property
    def meaning(self):
        return "the expected grade"

    def check_labels(self, labels):
        highest = self.lowest + self.classes - 1
        wrong = labels[(labels % 1 != 0) | (labels < self.lowest) | (labels > highest)]
        if len(wrong):
            raise ValueError(
                f"must hold whole numbers from {self.lowest} to {highest}. Received: {wrong[0]:g}"
            )

    def get_config(self):
        return super().get_config() | {"classes": self.classes, "lowest": self.lowest}
