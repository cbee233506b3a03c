"""The signature `serving_default` of a recommender."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import USER, neutral_inputs, ranked

DEFAULT_K = 100


class ServingDefault(ServedSignature):
    """`recommend` with only the user as input."""

    name = "serving_default"
    does = "the 100 best items for each user (all if there are fewer), from the stored history"
    inputs = (USER,)
    outputs = ranked("100")
    merges = True

    def answer(self, user_id):
        batch = tf.shape(user_id)[0]
        inputs = {"user_id": user_id, "k": tf.fill([batch], DEFAULT_K)}
        inputs = neutral_inputs(self.served.request_inputs, batch) | inputs
        return self.served.best(inputs, min(DEFAULT_K, self.served.count), self.merged)
