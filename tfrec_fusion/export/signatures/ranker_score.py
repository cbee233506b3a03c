"""The signature `score` of a ranker."""

from __future__ import annotations

import dataclasses

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, ITEMS, USER

CANDIDATES = dataclasses.replace(
    ITEMS, meaning="item ids; an unknown id is a new item of which nothing is known"
)


class RankerScore(ServedSignature):
    """A ranker's scores of user-item pairs in a context."""

    name = "score"
    does = "the score of each user with each given item"

    @property
    def outputs(self):
        return self.served.serving.outputs

    @property
    def inputs(self):
        return (USER, CANDIDATES, HISTORY, *self.served.age_inputs, *self.served.feature_inputs)

    def answer(self, /, **inputs):
        return self.served.scores(**inputs)
