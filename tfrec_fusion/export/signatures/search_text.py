"""The signature `search_text`."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, QUERY, USER, neutral_inputs, ranked


class SearchText(ServedSignature):
    """`search` with the text, the user and k, for requests written by hand."""

    name = "search_text"
    does = "the k best items for each text, for the user if one is given"
    inputs = (QUERY, USER, COUNT)
    outputs = ranked("k")
    merges = True

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.searching is not None and QUERY in served.searching.inputs

    def answer(self, query, user_id, k):
        inputs = neutral_inputs(self.served.searching.inputs, tf.shape(query)[0])
        inputs |= {"query": query, "user_id": user_id, "k": k}
        return self.served.found(inputs, self.served.most(k), self.merged)
