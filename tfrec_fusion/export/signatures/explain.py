"""The signature `explain`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, ITEMS, USER
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.signature import Tensor


class Explain(ServedSignature):
    """Splits scores into shares of the model's inputs, in an export with `explain=True`."""

    name = "explain"
    does = "scores split into shares of the model's inputs, which add up to the score"

    @property
    def inputs(self):
        return (USER, HISTORY, *self.served.age_inputs, ITEMS, *self.served.feature_inputs)

    @property
    def outputs(self):
        shares = [
            Tensor(share_output(name), "float32", "[B, N]", meaning)
            for name, meaning in self.served.explanation.meanings.items()
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

    def answer(self, user_id, history, item_id, **given):
        return self.served.explained(user_id, history, item_id, given)
