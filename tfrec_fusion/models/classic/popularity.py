"""Popularity baseline."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.item_scores import ItemScores


class Popularity(ClassicModel):
    """Scores every item by its number of training users.

    All users get the same list; cold items tie at 0.

    Example:
      >>> model = Popularity().fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    @property
    def name(self) -> str:
        return "popularity"

    def fitted(self, train) -> ItemScores:
        return ItemScores(np.bincount(train.matrix().indices, minlength=len(train.catalogue)))
