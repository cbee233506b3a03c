"""Most popular items first."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.item_scores import ItemScores


class Popularity(ClassicModel):
    """Score every item by its number of training users.

    The same list for everybody; cold items tie at 0.

    Example:
      >>> evaluate(Popularity().fit(split.train), split)  # doctest: +SKIP
    """

    name = "popularity"

    def fitted(self, train) -> ItemScores:
        return ItemScores(np.bincount(train.matrix().indices, minlength=len(train.catalogue)))
