"""The signature `serving_default` of a ranker."""

from __future__ import annotations

from tfrec_fusion.export.signatures.ranker_score import CANDIDATES, RankerScore, context_inputs
from tfrec_fusion.export.signatures.tensors import USER


class RankerDefault(RankerScore):
    """`score` from the baked histories."""

    name = "serving_default"
    does = "the score of each user with each of some items, from the baked history"

    @property
    def inputs(self):
        return (USER, CANDIDATES, *context_inputs(self.served))
