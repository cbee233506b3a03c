"""The signature `score` of a ranker."""

from __future__ import annotations

import dataclasses

from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.tensors import HISTORY, ITEMS, USER
from tfrec_fusion.signature import Tensor

CANDIDATES = dataclasses.replace(
    ITEMS, meaning="item ids; an unknown id is a new item of which nothing is known"
)


def context_inputs(served) -> tuple[Tensor, ...]:
    """One input for each context column that the model reads, and those that give features."""
    numbers = [
        Tensor(name, "float32", "[B]", "NaN where it is not known") for name in served.numbers
    ]
    texts = [
        Tensor(name, "string", "[B]", '"" or any other unknown value where it is not known')
        for name in served.texts
    ]
    return (*numbers, *texts, *served.feature_inputs)


class RankerScore(ServedSignature):
    """A ranker's scores of user-item pairs in a context."""

    name = "score"
    does = "the score of each user with each given item"
    outputs = (
        Tensor("score", "float32", "[B, N]", "the logit"),
        Tensor("probability", "float32", "[B, N]", "the probability that the user takes the item"),
    )

    @property
    def inputs(self):
        return (USER, CANDIDATES, HISTORY, *context_inputs(self.served))

    def answer(self, /, **inputs):
        return self.served.scores(**inputs)
