"""The context of events and of requests: columns of the events, and their time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.features.side import Side

TABLE = "interactions"
MOMENT = "timestamp"
"""Column of the context side that is the time of the event, or of the request."""

CONTEXT_FIELDS = ("context_categories", "context_numbers")
"""Fields of a batch with the encoded context."""


def context_frame(events: Interactions) -> pd.DataFrame:
    """Returns the context columns of events, and `MOMENT` if they have times."""
    if events.timestamp is None:
        return events.context
    return events.context.assign(**{MOMENT: events.timestamp})


def encoded_context(side: Side, events: Interactions) -> dict[str, np.ndarray]:
    """Encodes the context of events as fields of a batch: `[n, width]` int32, `[n, N]` float32.

    Raises:
      InputError: a column is missing or holds values of another kind than in training.
    """
    return dict(zip(CONTEXT_FIELDS, side.encode(context_frame(events)), strict=True))


def history_context(side: Side, events: Interactions) -> dict[str, np.ndarray]:
    """Encodes the context of the events of `Interactions.histories`, in their order."""
    return encoded_context(side, in_histories(events))


def in_histories(events: Interactions) -> Interactions:
    """Returns the events of `Interactions.histories`, in their order."""
    events = events.counted_events()
    events = events.select(events.user >= 0)
    return events.select(np.argsort(events.user, kind="stable"))


def neutral_context(side: Side, time: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Encodes a context of which nothing is known but, if given, the time in unix seconds.

    Returns:
      Categories `[1, width]` int32 and numbers `[1, n_numbers]` float32.
    """
    nothing = pd.DataFrame({column: [np.nan] for column in side.columns})
    if time is not None and MOMENT in nothing:
        nothing[MOMENT] = time
    return side.encode(nothing)


def asked_columns(side: Side) -> tuple[np.ndarray, np.ndarray]:
    """Returns which columns a request may leave out, i.e. all that do not read only its time.

    Returns:
      `[width]` bool for the categories and `[n_numbers]` bool for the numbers.
    """
    rows, numbers = [], []
    for one in side.features:
        asked = one.columns != (MOMENT,)
        rows += [asked] * one.width
        numbers += [asked] * one.n_numbers
    return np.array(rows, bool), np.array(numbers, bool)
