"""The signature `audience`."""

from __future__ import annotations

import dataclasses

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, ITEM
from tfrec_fusion.signature import Tensor

_COUNT = dataclasses.replace(COUNT, meaning=COUNT.meaning.replace("items", "users"))


class Audience(ServedSignature):
    """The users with the highest scores for an item, in an export with `audience=True`."""

    name = "audience"
    does = "the k stored users with the best scores for each item, without those who had it"
    inputs = (
        dataclasses.replace(ITEM, meaning="item ids; an unknown id has no users"),
        _COUNT,
    )
    outputs = (
        Tensor("user_id", "string", "[B, k]", 'best first, "" if no user is left'),
        Tensor("score", "float32", "[B, k]", "the lowest finite float32 if no user is left"),
    )

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.audience is not None

    def answer(self, item_id, k):
        users = self.served.audience
        most = tf.minimum(tf.reduce_max(tf.concat([k, [0]], 0)), users.count)
        rows = self.served.item_table.lookup(item_id)
        return users.best(self.served.serving.vectors(rows), rows, most)
