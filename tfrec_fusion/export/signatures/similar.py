"""The signature `similar`."""

from __future__ import annotations

import dataclasses

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, ITEM, ranked

_ITEM = dataclasses.replace(ITEM, meaning="item ids; an unknown id has no similar items")


class Similar(ServedSignature):
    """The items that are most similar to an item: "more like this"."""

    name = "similar"
    does = "the k items most similar to each item, without the item itself"
    outputs = ranked("k")

    @property
    def inputs(self):
        return (_ITEM, COUNT, *self.served.filters.inputs)

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.similar is not None

    def answer(self, item_id, k, **filters):
        return self.served.similar_to(item_id, self.served.most(k), filters)
