"""What a two-tower reads of events to score as of a time."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.data import History, Interactions
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.times import DAY


def item_state(events: Interactions, spec: DataSpec, at: float | None = None):
    """Trend features `[n_items, F]`, seen flags `[n_items]` and the unix time of scoring."""
    if spec.feature_names:
        trend = ItemTrend(events, spec.numbers)
        now = trend.end if at is None else at
        return *trend.at(now), now
    first = events.first_events()
    seen = first.item_counts() > 0
    now = at if first.timestamp is None or at is not None else float(first.timestamp.max()) + 1
    return np.zeros((spec.n_items, 0), np.float32), seen, now


def flat_histories(histories: History, users: np.ndarray, now: float | None):
    """Items `[H]` int32, positions in `users` `[H]` int32 and ages in days `[H]` float32."""
    chosen = histories.take(users)
    rows = np.repeat(np.arange(len(users), dtype=np.int32), chosen.lengths)
    if chosen.times is None:
        return chosen.items, rows, np.zeros(len(rows), np.float32)
    return chosen.items, rows, ((now - chosen.times) / DAY).astype(np.float32)
