"""The best items of a retrieval model, of which rankers get negatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State

_BLOCK = 1 << 22  # scores held at once


def retrieved_items(model: Any, events: Interactions, count: int) -> np.ndarray:
    """Returns the best items of each user by a model, as of the end of the events.

    Args:
      model: a fitted `tfrec_fusion.models.Model` that ranks the catalogue.
      events: the training events; a user's own items are left out.
      count: number of items of a user.

    Returns:
      `[n_users, count]` int32 item rows, best first; -1 where fewer are left, and for users without
      a positive event.

    Raises:
      InputError: the model does not rank the catalogue, or is of other events.
    """
    if not getattr(model, "ranks_catalogue", False) or getattr(model, "spec", None) is None:
        raise InputError(
            "negatives_from: must be a fitted model that ranks the catalogue, e.g. "
            f"EASE().fit(train). Received: {model!r}"
        )
    state = State.of(events)
    scorer, histories = model.scorer(state), state.histories
    n_items = len(state.catalogue)
    count = min(count, n_items)
    found = np.full((len(events.users), count), -1, np.int32)
    users = np.flatnonzero(histories.lengths).astype(np.int32)
    step = max(1, _BLOCK // n_items)
    for start in range(0, len(users), step):
        part = users[start : start + step]
        own = histories.take(part)
        scores = np.array(scorer(part), np.float32)
        scores[np.repeat(np.arange(len(part)), own.lengths), own.items] = -np.inf
        best = np.argpartition(-scores, count - 1, 1)[:, :count]
        values = np.take_along_axis(scores, best, 1)
        order = np.argsort(-values, 1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        left = np.take_along_axis(values, order, 1) > -np.inf
        found[part] = np.where(left, best, -1)
    return found
