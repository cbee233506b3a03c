"""Checks of the arguments of `ranking_examples`."""

from __future__ import annotations

import math
from numbers import Real

from tfrec_fusion._compat import tf
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError, check_whole_number


def check_events(events: Interactions, known: Interactions | None) -> None:
    """Raises InputError if the events are something else."""
    require_interactions(events, "ranking_examples")
    if known is not None:
        require_interactions(known, "ranking_examples: known")


def check_counts(**counts: int) -> None:
    """Raises InputError for options that are no whole numbers of 0 or more."""
    for name, value in counts.items():
        check_whole_number(f"ranking_examples: {name}", value, 0)


def check_times(
    events: Interactions, horizon_days: float, every_days: float, at: float | None
) -> None:
    """Raises InputError for distances in days that are none, or a cut that the events refuse."""
    numbers = _is_number(horizon_days) and _is_number(every_days)
    if not numbers or horizon_days < 0 or every_days <= 0:
        raise InputError(
            "ranking_examples: horizon_days must be 0 or more and every_days positive. "
            f"Received: {horizon_days!r}, {every_days!r}"
        )
    if at is None:
        return
    if not _is_number(at):
        raise InputError(
            f"ranking_examples: at must be a time in unix seconds, or None. Received: {at!r}"
        )
    if events.timestamp is None:
        raise InputError(
            f"ranking_examples: at needs events with timestamps; leave it out. Received: {at}"
        )
    early = events.timestamp[events.user >= 0] < at
    if early.any():
        raise InputError(
            f"ranking_examples: {early.sum()} events are before the cut; pass a smaller at or "
            f"leave them out. Received: at={at}"
        )


def check_labels(events: Interactions, negatives: int) -> None:
    """Raises InputError if all that there is to learn is one label above 0."""
    label = events.label
    if negatives or label is None or events.labels or not len(label):
        return
    if label.min() == label.max() > 0:
        raise InputError(
            f"ranking_examples: all {len(label)} labels are {label[0]:g}, and labelled events get "
            "no negatives by default, so that a model would learn this number alone; pass "
            "negatives=4, or add the events that were shown and not taken, of label 0. "
            "Received: negatives=0"
        )


def check_rows_left(batches: tf.data.Dataset, min_history: int, history: int) -> None:
    """Raises InputError if no batch has a row; reads them up to the first one that has."""
    if not any(len(batch["user"]) for batch in batches):
        raise InputError(
            "ranking_examples: min_history leaves out all events, as no history is so long at its "
            f"cut; pass less, of at most history={history}. Received: min_history={min_history}"
        )


def check_hard(negatives: int, share: float, pool: int, cuts: int) -> None:
    """Raises InputError for wrong options of negatives from a retrieval model."""
    if not negatives:
        raise InputError(
            "ranking_examples: negatives_from needs sampled negatives; pass negatives=4. "
            "Received: negatives=0"
        )
    if not _is_number(share) or not 0 <= share <= 1:
        raise InputError(
            f"ranking_examples: hard_share must be a number from 0 to 1. Received: {share!r}"
        )
    check_whole_number("ranking_examples: hard_pool", pool)
    check_whole_number("ranking_examples: hard_cuts", cuts, 2)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
