"""The signature `search_vector`."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import (
    COUNT,
    QUERY,
    QUERY_VECTOR,
    USER,
    neutral_inputs,
    ranked,
)


class SearchVector(ServedSignature):
    """`search` with the query's vector, the user and k: no operation on texts but ids."""

    name = "search_vector"
    does = "the k best items for each query vector, for the user if one is given"
    inputs = (QUERY_VECTOR, USER, COUNT)
    outputs = ranked("k")
    merges = True

    @classmethod
    def is_offered(cls, served) -> bool:
        return served.searching is not None and QUERY_VECTOR in served.searching.inputs

    def answer(self, query_vector, user_id, k):
        others = [one for one in self.served.searching.inputs if one != QUERY]
        inputs = neutral_inputs(others, tf.shape(user_id)[0])
        inputs |= {"query_vector": query_vector, "user_id": user_id, "k": k}
        return self.served.found(inputs, self.served.most(k), self.merged)
