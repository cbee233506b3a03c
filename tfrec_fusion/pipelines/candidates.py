"""The candidates of users, and the members' scores of them, in NumPy."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State


def candidates_of(state: State, users: np.ndarray) -> np.ndarray:
    """Returns `[B, n_items]` bool: the items that can be recommended to user rows `[B]`.

    All but those of the history, which count only if repeated events do.
    """
    found = np.ones((len(users), len(state.catalogue)), bool)
    if state.events.repeats == "first":
        history = state.histories.take(users)
        found[np.repeat(np.arange(len(users)), history.lengths), history.items] = False
    return found


def checked_scores(owner: str, name: str, scores, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a member's scores as float32.

    Raises:
      InputError: they have another shape, or are not finite.
    """
    scores = np.asarray(scores, np.float32)
    if scores.shape != shape:
        raise InputError(
            f"{owner}: the member {name!r} must score [users, items] = {list(shape)}. "
            f"Received: {list(scores.shape)}"
        )
    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise InputError(
            f"{owner}: the member {name!r} gives scores that are not finite; its training may have "
            f"diverged. Received: {wrong} of {scores.size} scores"
        )
    return scores
