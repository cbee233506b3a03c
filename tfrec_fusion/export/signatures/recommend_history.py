"""The signature `recommend_history`."""

from __future__ import annotations

import dataclasses

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import COUNT, HISTORY, neutral_inputs, ranked

_HISTORY = dataclasses.replace(
    HISTORY, meaning='item ids, latest last, "" pads; all "" is a new user of whom nothing is known'
)


class RecommendHistory(ServedSignature):
    """`recommend` with a history and k, for requests written by hand."""

    name = "recommend_history"
    does = "the k best items for a visitor with each history"
    inputs = (_HISTORY, COUNT)
    outputs = ranked("k")
    merges = True

    def answer(self, history, k):
        inputs = neutral_inputs(self.served.request_inputs, tf.shape(history)[0])
        inputs |= {"history": history, "k": k}
        return self.served.best(inputs, self.served.most(k), self.merged)
