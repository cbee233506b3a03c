"""The signature `user_vector`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, USER, VECTOR


class UserVector(ServedSignature):
    """User vectors, for models whose score is a dot product."""

    name = "user_vector"
    does = "user vectors; a score is the dot product of a user vector and an item vector"
    inputs = (USER, HISTORY)
    outputs = (VECTOR,)

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.has_vectors

    def answer(self, user_id, history):
        return {"vector": self.served.users(user_id, history)[0]}
