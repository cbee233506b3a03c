"""The signature `regress`."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.signature import Tensor, neutral

EXAMPLES = Tensor(
    "inputs",
    "string",
    "[B]",
    "serialized tf.Examples of one user and one item each; see features",
    kind="example",
)


def example_features(served) -> tuple[Tensor, ...]:
    """Features of the `tf.Example`s; each example is one user with one item in a context."""
    return (
        Tensor("user_id", "string", "[]", 'optional; "" if missing', kind="user"),
        Tensor("item_id", "string", "[]", kind="item"),
        Tensor("history", "string", "[H]", "optional; the stored one if missing", kind="item"),
        *(
            Tensor(one.name, "float", "[A]", f"optional; {one.meaning}", kind=one.kind)
            for one in served.age_inputs
        ),
        *(
            Tensor(
                one.name,
                "string" if one.dtype == "string" else "float",
                f"[{one.shape[1:-1].partition(', ')[2]}]",
                one.meaning,
            )
            for one in served.feature_inputs
        ),
    )


def predicts_probability(served) -> bool:
    """Whether the model predicts the probability that the user takes the item."""
    return any(one.name == "probability" for one in served.serving.outputs)


def prediction(served, examples: tf.Tensor) -> tf.Tensor:
    """Probability `[B]` float32, or else the score, for serialized examples `[B]`."""
    one = {"user_id": tf.io.FixedLenFeature([], tf.string, "")}
    one["item_id"] = tf.io.FixedLenFeature([], tf.string)
    many = {"history": tf.io.VarLenFeature(tf.string)}
    many |= {one.name: tf.io.VarLenFeature(tf.float32) for one in served.age_inputs}
    for tensor in served.feature_inputs:
        if tensor.dtype != "string":
            one[tensor.name] = tf.io.FixedLenFeature([], tf.float32, float("nan"))
        elif len(tensor.sizes) == 1:
            one[tensor.name] = tf.io.FixedLenFeature([], tf.string, "")
        else:
            many[tensor.name] = tf.io.VarLenFeature(tf.string)
    parsed = tf.io.parse_example(examples, {**one, **many})
    for name, feature in many.items():
        parsed[name] = tf.sparse.to_dense(parsed[name], neutral(feature.dtype.name))
    parsed |= {one.name: tf.cast(parsed[one.name], one.dtype) for one in served.feature_inputs}
    parsed["item_id"] = parsed["item_id"][:, None]
    answers = served.scores(**parsed)
    return answers.get("probability", answers["score"])[:, 0]


class Regress(ServedSignature):
    """A ranker's probability, or else its score, through TF Serving's Regress API."""

    name = "regress"
    inputs = (EXAMPLES,)
    outputs = (Tensor("outputs", "float32", "[B]"),)

    @property
    def does(self):
        if predicts_probability(self.served):
            return "the probability that the user takes the item"
        return "the score of the item"

    @property
    def features(self):
        return example_features(self.served)

    def answer(self, inputs):
        return {"outputs": prediction(self.served, inputs)}
