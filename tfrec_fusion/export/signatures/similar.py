"""The signature `similar`."""

from __future__ import annotations

import dataclasses

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, ITEM, ranked

_IDS, _SCORES = ranked("k")
_ITEM = dataclasses.replace(ITEM, meaning="item ids; an unknown id has no similar items")


class Similar(ServedSignature):
    """The items that are most similar to an item: "more like this"."""

    name = "similar"
    does = "the k items most similar to each item, without the item itself"
    # Not `item_id`, as ONNX cannot have an input and an output of one name.
    outputs = (dataclasses.replace(_IDS, name="similar_id"), _SCORES)

    @property
    def inputs(self):
        return (_ITEM, COUNT, *self.served.filters.inputs)

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.similar is not None

    def answer(self, item_id, k, **filters):
        best = self.served.similar_to(item_id, self.served.most(k), filters)
        return {"similar_id": best["item_id"], "score": best["score"]}
