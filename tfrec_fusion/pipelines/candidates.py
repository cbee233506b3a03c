"""The candidates of users, and the members' scores of them, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State

_NO_NUMBERS = "SUMmc"  # kinds of NumPy's types: text, times, complex


def candidates_of(state: State, users: np.ndarray) -> np.ndarray:
    """Returns `[B, n_items]` bool: the items that can be recommended to user rows `[B]`.

    All but those of the history, which count only if repeated events do.
    """
    found = np.ones((len(users), len(state.catalogue)), bool)
    if state.events.repeats == "first":
        history = state.histories.take(users)
        found[np.repeat(np.arange(len(users)), history.lengths), history.items] = False
    return found


def checked_users(owner: str, users, state: State) -> np.ndarray:
    """Returns user rows `[B]`, -1 unknown.

    Raises:
      InputError: they are no whole numbers, or no rows of the state's users.
    """
    rows, count = np.asarray(users), len(state.events.users)
    if not rows.size:
        return np.empty(0, np.int32)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise InputError(
            f"{owner}: users must be rows [users] of whole numbers, -1 for unknown ones. "
            f"Received: {list(rows.shape)} {rows.dtype}"
        )
    if rows.min() < -1 or rows.max() >= count:
        wrong = rows[(rows < -1) | (rows >= count)]
        raise InputError(
            f"{owner}: users must be rows of the events' {count} users, or -1 for unknown ones. "
            f"Received: {len(wrong)} others, first {wrong[0]}"
        )
    return rows


def member_scores(
    owner: str,
    name: str,
    scorer: Callable[[np.ndarray], Any],
    users: np.ndarray,
    n_items: int,
) -> np.ndarray:
    """Returns a member's scores `[B, n_items]` float32; an error while it scores names it.

    Raises:
      InputError: they are no numbers, have another shape, or are not finite.
    """
    try:
        scores = scorer(users)
    except Exception as error:
        error.add_note(f"{owner}: while the member {name!r} was scoring")
        raise
    shape = (len(users), n_items)
    try:
        found = np.asarray(scores)
        if found.dtype.kind in _NO_NUMBERS:
            raise TypeError
        found = found.astype(np.float32, copy=False)
    except (TypeError, ValueError):
        raise InputError(
            f"{owner}: the member {name!r} must score [users, items] = {list(shape)} by numbers. "
            f"Received: {getattr(scores, 'dtype', type(scores).__name__)}"
        ) from None
    if found.shape != shape:
        raise InputError(
            f"{owner}: the member {name!r} must score [users, items] = {list(shape)}. "
            f"Received: {list(found.shape)}"
        )
    wrong = int((~np.isfinite(found)).sum())
    if wrong:
        raise InputError(
            f"{owner}: the member {name!r} gives scores that are not finite; its training may have "
            f"diverged. Received: {wrong} of {found.size} scores"
        )
    return found
