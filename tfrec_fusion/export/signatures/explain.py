"""The signature `explain`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, ITEMS, USER
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.signature import Tensor

_MEANINGS = {
    "id": "share of item ids, item biases and, if the model reads them, user ids",
    "features": "share of the declared features of items and users",
    "request": "share of the request's context",
    "context": "share of the item's recency, trend and numbers, and the history's size and recency",
}


class Explain(ServedSignature):
    """Splits scores into shares of the model's inputs, in an export with `explain=True`."""

    name = "explain"
    does = "scores split into shares of the model's inputs, which add up to the score"

    @property
    def inputs(self):
        return (USER, HISTORY, ITEMS, *self.served.feature_inputs)

    @property
    def outputs(self):
        shares = [
            Tensor(
                share_output(name),
                "float32",
                "[B, N]",
                _MEANINGS.get(name, f"share of the vectors {name!r}"),
            )
            for name in self.served.explanation.inputs
        ]
        return (
            Tensor(
                "score",
                "float32",
                "[B, N]",
                "the signature score's, from the history in use",
            ),
            *shares,
            Tensor("bias", "float32", "[B, N]", "the score with all inputs removed"),
        )

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.explanation is not None

    def answer(self, user_id, history, item_id, **features):
        return self.served.explained(user_id, history, item_id, features)
