"""Warns about ratings if no `min_rating` is set."""

from __future__ import annotations

import logging

import numpy as np

_LONGEST_SCALE = 101  # distinct ratings, e.g. 0 to 100; columns with more hold amounts
_log = logging.getLogger(__name__)


def tell_of_ratings(ratings: np.ndarray) -> None:
    """Warns that every event counts as a positive, if the ratings `[n]` are on a scale."""
    scale = np.unique(ratings)
    if not 2 <= len(scale) <= _LONGEST_SCALE:
        return
    good = scale[scale >= scale[0] + 0.75 * (scale[-1] - scale[0])][0]
    _log.warning(
        "interactions: ratings are from %g to %g, and every event counts as a positive, whatever "
        "its rating; min_rating=%g (on the command line --min-rating %g) keeps the %.0f %% with a "
        "good rating, min_rating=%g keeps all",
        scale[0],
        scale[-1],
        good,
        good,
        100 * (ratings >= good).mean(),
        scale[0],
    )
