"""The signature `search`."""

from __future__ import annotations

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import ranked


class Search(ServedSignature):
    """The best items for queries, with users and filters, in an export with `search`."""

    name = "search"
    does = "the k best items for each query, for the user if one is given"
    outputs = ranked("k")
    merges = True

    @property
    def inputs(self):
        return self.served.searching.inputs

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.searching is not None

    def answer(self, /, **inputs):
        return self.served.found(inputs, self.served.most(inputs["k"]), self.merged)
