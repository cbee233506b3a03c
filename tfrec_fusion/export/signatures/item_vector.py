"""The signature `item_vector`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import ITEM, VECTOR


class ItemVector(ServedSignature):
    """Item vectors, for models whose score is a dot product."""

    name = "item_vector"
    does = "item vectors; a score is the dot product of a user vector and an item vector"
    inputs = (ITEM,)
    outputs = (VECTOR,)

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.has_vectors

    def answer(self, item_id):
        return {"vector": self.served.item_vectors(item_id)}
