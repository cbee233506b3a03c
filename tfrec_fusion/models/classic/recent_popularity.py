"""Items that are popular lately."""

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.classic import Baseline, Scorer, constant_scorer


class RecentPopularity(Baseline):
    """Score every item by its events in the last share of the training events by time.

    Args:
      share: of the training events, in (0, 1]; all events at the boundary's second count.

    Raises:
      InputError: `share` is out of range, or `fit` gets interactions without timestamps.

    Example:
      >>> evaluate(RecentPopularity().fit(split.train), split)  # doctest: +SKIP
    """

    name = "recent popularity"

    def __init__(self, share: float = 0.1):
        super().__init__()
        if not 0 < share <= 1:
            raise InputError(f"RecentPopularity: share must be in (0, 1]. Received: {share}")
        self.share = share

    def _fit(self, train) -> None:
        if train.timestamp is None:
            raise InputError(
                "RecentPopularity: interactions have no timestamp; add the column or use Popularity"
            )
        recent = train.timestamp >= np.quantile(train.timestamp, 1 - self.share)
        events = np.bincount(train.item[recent], minlength=len(train.catalogue))
        self._scores = events.astype(np.float32)

    def _scorer(self, state: State) -> Scorer:
        return constant_scorer(self._scores)
