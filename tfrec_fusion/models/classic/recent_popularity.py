"""Recent-popularity baseline."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tfrec_fusion.errors import InputError
from tfrec_fusion.models.classic.classic_model import ClassicModel, Options
from tfrec_fusion.models.classic.item_scores import ItemScores


class RecentPopularityConfig(Options):
    """Options of `RecentPopularity`.

    Attributes:
      share: share of the training events to count, in (0, 1]; includes all events at the boundary
        time.
    """

    share: float = Field(0.1, gt=0, le=1)


class RecentPopularity(ClassicModel):
    """Scores every item by its number of events in the most recent share of the training events.

    Args:
      **options: see `RecentPopularityConfig`.

    Raises:
      InputError: an invalid option, or `fit` gets interactions without timestamps.

    Example:
      >>> model = RecentPopularity().fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = RecentPopularityConfig

    @property
    def name(self) -> str:
        return "recent popularity"

    def fitted(self, train) -> ItemScores:
        if train.timestamp is None:
            raise InputError(
                "RecentPopularity: interactions have no timestamp; add the column or use Popularity"
            )
        recent = train.timestamp >= np.quantile(train.timestamp, 1 - self.config.share)
        return ItemScores(np.bincount(train.item[recent], minlength=len(train.catalogue)))
