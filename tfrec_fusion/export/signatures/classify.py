"""The signature `classify`."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.regress import (
    EXAMPLES,
    example_features,
    prediction,
    predicts_probability,
)
from tfrec_fusion.signature import Tensor


class Classify(ServedSignature):
    """A ranker's probabilities through TF Serving's Classify API."""

    name = "classify"
    does = "the probabilities that the user does not take (class 0) or takes (class 1) the item"
    inputs = (EXAMPLES,)
    outputs = (
        Tensor("classes", "string", "[B, 2]", '"0" and "1"'),
        Tensor("scores", "float32", "[B, 2]", "their probabilities"),
    )

    @classmethod
    def is_offered(cls, served):
        return predicts_probability(served)

    @property
    def features(self):
        return example_features(self.served)

    def answer(self, inputs):
        taken = prediction(self.served, inputs)
        classes = tf.tile([["0", "1"]], [tf.shape(inputs)[0], 1])
        return {"classes": classes, "scores": tf.stack([1.0 - taken, taken], 1)}
