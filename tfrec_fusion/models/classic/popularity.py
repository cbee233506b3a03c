"""Most popular items first."""

import numpy as np

from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.classic import Baseline, Scorer, constant_scorer


class Popularity(Baseline):
    """Score every item by its number of training users.

    The same list for everybody; cold items tie at 0.

    Example:
      >>> evaluate(Popularity().fit(split.train), split)  # doctest: +SKIP
    """

    name = "popularity"

    def _fit(self, train) -> None:
        users = np.bincount(train.matrix().indices, minlength=len(train.catalogue))
        self._scores = users.astype(np.float32)

    def _scorer(self, state: State) -> Scorer:
        return constant_scorer(self._scores)
