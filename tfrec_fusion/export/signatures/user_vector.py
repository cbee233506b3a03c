"""The signature `user_vector`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, USER, VECTOR


class UserVector(ServedSignature):
    """User vectors, for models whose score is a dot product."""

    name = "user_vector"
    does = "user vectors; a score is the dot product of a user vector and an item vector"
    outputs = (VECTOR,)

    @property
    def inputs(self):
        return (USER, HISTORY, *self.served.age_inputs, *self.served.feature_inputs)

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.has_vectors

    def answer(self, user_id, history, **given):
        return {"vector": self.served.users(user_id, history, given)[0]}
