"""Baseline of repeat consumption: a user's own most frequent items."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion.models.building import require_all
from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.item_item import ItemItem


class PersonalFrequency(ClassicModel):
    """Scores every item by how often the user took it; all other items tie at 0.

    The strongest simple baseline where users come back to the same items (Li et al., TOIS 2023, as
    P-TopFreq). It needs events whose repetitions count.

    Raises:
      InputError: `fit` gets events with `repeats="first"`.

    Example:
      >>> groceries = split.train.with_repeats("all")
      >>> PersonalFrequency().fit(groceries).scores.count
      30
    """

    @property
    def name(self) -> str:
        return "personal frequency"

    def fitted(self, train) -> ItemItem:
        require_all("PersonalFrequency", train)
        ones = np.ones(len(train.catalogue), np.float32)
        return ItemItem(scipy.sparse.diags_array(ones).tocsr())
