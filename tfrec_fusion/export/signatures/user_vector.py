"""The signature `user_vector`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, USER, VECTOR


class UserVector(ServedSignature):
    """The user side of a score that is a dot product."""

    name = "user_vector"
    does = "the user side of the score, which is its dot product with an item vector"
    inputs = (USER, HISTORY)
    outputs = (VECTOR,)

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.has_vectors

    def answer(self, user_id, history):
        return {"vector": self.served.users(user_id, history)[0]}
