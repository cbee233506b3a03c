"""Head for a binary label."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.heads.head import Head


@keras.utils.register_keras_serializable("tfrec_fusion")
class BinaryHead(Head):
    """Predicts the logit of a label in {0, 1}; the loss is cross entropy, the metric AUC.

    With `given`, the entire space multi-task model (Ma et al., SIGIR 2018): for a label that only
    events with another label can have, such as a purchase after a click, its own output is the
    logit of p(buy | click), and the probability that it learns, predicts and ranks by is

        p(buy) = p(click) p(buy | click)

    over all impressions. From the logits a and b of the two, the logit of the product is
    `-log(exp(-a) + exp(-b) + exp(-a - b))`. Where the other label is 0, so is this one.

    Args:
      given: name of an earlier binary head of the same ranker.
      **options: see `Head`; sampled negatives have the label 0.

    Example:
      >>> BinaryHead()(tf.ones([2, 3, 4])).shape
      TensorShape([2, 3])
    """

    of_negatives = "zero"

    def __init__(
        self,
        label=None,
        weight=1.0,
        negatives=None,
        loss=None,
        hidden=(),
        given: str | None = None,
        **kwargs,
    ):
        super().__init__(label, weight, negatives, loss, hidden, **kwargs)
        if given is not None and not isinstance(given, str):
            raise ValueError(f"given must be the name of a head or None. Received: {given!r}")
        self.given = given

    def joined(self, outputs, others):
        if self.given is None:
            return outputs
        first = others[self.given]
        return -tf.reduce_logsumexp(tf.stack([-first, -outputs, -first - outputs]), 0)

    def default_loss(self):
        return keras.losses.BinaryCrossentropy(from_logits=True)

    def default_metrics(self):
        return [keras.metrics.AUC(from_logits=True, name="auc")]

    def prediction(self, outputs):
        return tf.sigmoid(outputs)

    def score(self, outputs):
        return outputs

    def measured(self, outputs):
        return outputs

    @property
    def meaning(self):
        return "the probability of its label"

    def check_labels(self, labels):
        wrong = labels[(labels != 0) & (labels != 1)]
        if len(wrong):
            raise ValueError(f"must hold 0 and 1. Received: {wrong[0]:g}")

    def get_config(self):
        return super().get_config() | {"given": self.given}
