"""What becomes of ratings that nobody spoke of."""

from __future__ import annotations

import logging

import numpy as np

_LONGEST_SCALE = 101  # different ratings, as of 0 to 100; more are amounts
_log = logging.getLogger(__name__)


def tell_of_ratings(ratings: np.ndarray) -> None:
    """Says that every event counts as a positive, where ratings `[n]` are on a scale."""
    scale = np.unique(ratings)
    if not 2 <= len(scale) <= _LONGEST_SCALE:
        return
    good = scale[scale >= scale[0] + 0.75 * (scale[-1] - scale[0])][0]
    _log.warning(
        "interactions: ratings are from %g to %g, and every event counts as a positive, whatever "
        "its rating; min_rating=%g (on the command line --min-rating %g) keeps the %.0f %% with a "
        "good one, min_rating=%g all of them",
        scale[0],
        scale[-1],
        good,
        good,
        100 * (ratings >= good).mean(),
        scale[0],
    )
