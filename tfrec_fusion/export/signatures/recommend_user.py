"""The signature `recommend_user`."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, USER, neutral_inputs, ranked


class RecommendUser(ServedSignature):
    """`recommend` with the user and k, for requests written by hand."""

    name = "recommend_user"
    does = "the k best items for each user, from the stored history"
    inputs = (USER, COUNT)
    outputs = ranked("k")
    merges = True

    def answer(self, user_id, k):
        inputs = neutral_inputs(self.served.request_inputs, tf.shape(user_id)[0])
        inputs |= {"user_id": user_id, "k": k}
        return self.served.best(inputs, self.served.most(k), self.merged)
