"""The signature `explain`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, ITEMS, USER
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.signature import Tensor

_MEANINGS = {
    "id": "item ids, item biases and, where the model reads them, user ids",
    "context": "recency, trend and numbers of the item, size and recency of the history",
}


class Explain(ServedSignature):
    """The shares of the model's inputs in scores, of an export with `explain=True`."""

    name = "explain"
    does = "the shares of the model's inputs in scores, which they add up to"
    inputs = (USER, HISTORY, ITEMS)

    @property
    def outputs(self):
        shares = [
            Tensor(
                share_output(name),
                "float32",
                "[B, N]",
                _MEANINGS.get(name, f"the vectors {name!r}"),
            )
            for name in self.served.explanation.inputs
        ]
        return (
            Tensor(
                "score",
                "float32",
                "[B, N]",
                "as the signature score gives it, from the history in use",
            ),
            *shares,
            Tensor("bias", "float32", "[B, N]", "the score where the model is shown nothing"),
        )

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.explanation is not None

    def answer(self, user_id, history, item_id):
        return self.served.explained(user_id, history, item_id)
