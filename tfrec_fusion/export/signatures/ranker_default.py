"""The signature `serving_default` of a ranker."""

from __future__ import annotations

from tfrec_fusion.export.signatures.ranker_score import CANDIDATES, RankerScore
from tfrec_fusion.export.signatures.tensors import USER


class RankerDefault(RankerScore):
    """A ranker's `score` from the stored histories."""

    name = "serving_default"
    does = "the score of each user with each given item, from the stored history"

    @property
    def inputs(self):
        return (USER, CANDIDATES, *self.served.feature_inputs)
