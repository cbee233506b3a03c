"""What is known of the events of histories: their type, rating, time or text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.features.context import TABLE, context_frame, in_histories
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.semantic_id import SemanticId
from tfrec_fusion.features.kinds.vectors import Vectors
from tfrec_fusion.features.side import Side

EVENT_FIELDS = ("event_categories", "event_numbers")
"""Fields of a batch with the encoded features of the history's events."""

_ROWS = 1 << 16  # of vectors that are encoded at once


def event_columns(events: Interactions) -> list[str]:
    """Names of all columns that features of events may read."""
    return [*event_frame(events), *events.vectors]


def event_frame(events: Interactions, vectors: tuple[str, ...] = ()) -> pd.DataFrame:
    """Returns the context of events, their time, rating and weight, and the named vectors."""
    frame = context_frame(events)
    given = {"rating": events.rating, "weight": events.weight}
    found = {name: values for name, values in given.items() if values is not None}
    found |= {name: events.vectors_of(name) for name in vectors if name in events.vectors}
    return frame.assign(**found) if found else frame


def fitted_events(features: tuple, events: Interactions) -> Side:
    """Fits declared features on the events of histories."""
    vectors = _vectors(features)
    return Side.fit(TABLE, features, event_frame(in_histories(events), vectors))


def encoded_events(side: Side, events: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Encodes the features of events: categories `[n, width]` int32, numbers `[n, N]` float32.

    Raises:
      InputError: a column is missing or holds values of another kind than in training.
    """
    vectors = _vectors(side.features)
    if not vectors:
        return side.encode(event_frame(events))
    parts = [
        side.encode(event_frame(events.select(np.arange(start, stop)), vectors))
        for start in range(0, max(len(events), 1), _ROWS)
        for stop in [min(start + _ROWS, len(events))]
    ]
    categories, numbers = (np.concatenate(of_parts) for of_parts in zip(*parts, strict=True))
    return categories, numbers


def _vectors(features: tuple[Feature, ...]) -> tuple[str, ...]:
    return tuple(one.column for one in features if isinstance(one, Vectors | SemanticId))


def history_events(side: Side, events: Interactions) -> dict[str, np.ndarray]:
    """Encodes the events of `Interactions.histories`, in their order, as fields of a batch."""
    return dict(zip(EVENT_FIELDS, encoded_events(side, in_histories(events)), strict=True))


def unknown_event(side: Side) -> tuple[np.ndarray, np.ndarray]:
    """An event of which nothing is known: categories `[1, width]` of -1, numbers `[1, N]` of 0."""
    return np.full((1, side.width), -1, np.int32), np.zeros((1, side.n_numbers), np.float32)
