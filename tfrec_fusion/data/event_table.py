"""Checks and encodes a frame of events."""

from __future__ import annotations

import logging
from collections.abc import Container, Hashable, Mapping, Sequence
from numbers import Real

import numpy as np
import pandas as pd

from tfrec_fusion.data._ratings import tell_of_ratings
from tfrec_fusion.data._times import timestamps
from tfrec_fusion.data.catalogue import Catalogue
from tfrec_fusion.data.stray_times import plausible_times, tell_of_old_times
from tfrec_fusion.data.tables import (
    check_ids,
    check_present,
    check_values,
    drop_incomplete,
    numbers,
    require_columns,
)
from tfrec_fusion.errors import InputError

POSITION = "position"
_NUMBERS = ("timestamp", "rating", "weight", "label")
# The user's row before `encode_users`; it tells unknown users apart to find repeated events.
PERSON = "_person"
# What precedes the name of a label column.
LABEL_OF = "_label_"
REPEATS = ("first", "all")
LOW_RATINGS = ("drop", "dislike")
_NO_LABELS = ("user_id", "item_id", "timestamp", "label")
_LARGEST = 1e38
_LARGEST_WHOLE = 2.0**53  # beyond it float64 skips whole numbers
_log = logging.getLogger(__name__)


def encoded_events(
    frame: pd.DataFrame,
    catalogue: Catalogue,
    *,
    min_rating: float | None,
    low_ratings: str,
    unknown_items: str,
    duplicates: str,
    nulls: str,
    timestamp_unit: str | None,
    stray_times: str,
    repeats: str,
    event_weights: Mapping[str, float] | None,
    labels: Sequence[str] = (),
) -> tuple[pd.DataFrame, np.ndarray]:
    """Checks and encodes events; options as in `Interactions.from_frame`.

    Returns:
      The columns `user` and `item` (int32 rows), the numeric columns, the labels (each behind
      `LABEL_OF`) and the context; and the users' ids `[n_users]`, in the order of their rows.

    Raises:
      InputError: as in `Interactions.from_frame`.
    """
    for name, value, allowed in (
        ("low_ratings", low_ratings, LOW_RATINGS),
        ("unknown_items", unknown_items, ("error", "drop")),
        ("duplicates", duplicates, ("error", "first")),
        ("nulls", nulls, ("error", "drop")),
        ("stray_times", stray_times, ("error", "drop", "keep")),
        ("repeats", repeats, REPEATS),
    ):
        if value not in allowed:
            raise InputError(f"interactions: {name} must be one of {allowed}. Received: {value!r}")
    require_columns(frame, ["user_id", "item_id"], "interactions")
    _check_labels(labels, frame)
    numeric = number_columns(frame)
    if POSITION in frame and POSITION not in numeric:
        _log.warning(
            "interactions: the column 'timestamp' orders the events, so 'position' is a context "
            "column"
        )
    for name in ("user", "item", PERSON):
        if name in frame:
            raise InputError(
                f"interactions: a context column may not have the name {name!r}, which is "
                f"reserved; rename it. Columns received: {list(frame.columns)}"
            )
    found = {
        name: timestamps(frame, name, "interactions", timestamp_unit)
        if name == "timestamp"
        else numbers(frame, name, "interactions")
        for name in numeric
        if name in frame
    }
    if nulls == "drop" and event_weights is not None and "event" in frame:
        here = frame["event"].notna().to_numpy()
        if not here.all():
            _log.warning("interactions: dropped %d events without a type", (~here).sum())
        frame, found = frame[here], {name: values[here] for name, values in found.items()}
    if nulls == "drop":
        frame, found = drop_incomplete(frame, found)
    remedy = ", or pass nulls='drop'"
    user_ids = check_ids(frame, "user_id", "interactions", remedy)
    item_ids = check_ids(frame, "item_id", "interactions", remedy)
    encoded = pd.DataFrame({"item": catalogue.vocabulary.rows(item_ids)})
    for name, values in found.items():
        check_present(values, name, "interactions", remedy)
        encoded[name] = values
    if event_weights is not None:
        of_types = _weights_of_types(frame, event_weights, repeats, nulls)
        encoded["weight"] = of_types * encoded.get("weight", 1.0)
    _check_weights(encoded)
    keep = np.ones(len(frame), bool)
    if "timestamp" in encoded:
        keep &= plausible_times(encoded["timestamp"].to_numpy(), stray_times)
        tell_of_old_times(encoded["timestamp"].to_numpy()[keep])
    context = [c for c in frame.columns if c not in ("user_id", "item_id", *numeric, *labels)]
    for name in [*context, *labels]:
        check_values(frame, name, "interactions")
    for name in labels:
        encoded[LABEL_OF + name] = numbers(frame, name, "interactions")
    encoded[context] = frame[context].reset_index(drop=True)
    unknown = encoded["item"].to_numpy() < 0
    if unknown.any():
        if unknown_items == "error":
            examples = pd.unique(item_ids[unknown])[:3].tolist()
            raise InputError(
                f"interactions: column 'item_id' has {unknown.sum()} events of items that are "
                f"not in the catalogue, first {examples}; add the items or pass "
                "unknown_items='drop'"
            )
        _log.warning(
            "interactions: dropped %d events of items that are not in the catalogue",
            unknown.sum(),
        )
        keep &= ~unknown
    if min_rating is not None:
        if "rating" not in encoded:
            raise InputError(f"interactions: min_rating={min_rating} needs a column 'rating'")
        liked = encoded["rating"].to_numpy() >= min_rating
        if low_ratings == "drop":
            keep &= liked
        else:
            encoded["label"] = np.where(liked, encoded.get("label", 1.0), 0.0)
    elif "rating" in encoded and not np.any(encoded.get("label", 1.0) <= 0):
        tell_of_ratings(encoded["rating"].to_numpy()[keep])
    if min_rating is None and low_ratings != "drop":
        raise InputError(
            f"interactions: low_ratings needs min_rating, the lowest rating of a liked item. "
            f"Received: low_ratings={low_ratings!r} without min_rating"
        )
    if not keep.any():
        raise InputError(
            f"interactions: no events are left of {len(frame)} after unknown_items="
            f"{unknown_items!r}, stray_times={stray_times!r} and min_rating={min_rating}"
        )
    encoded, user_ids = encoded[keep].reset_index(drop=True), user_ids[keep]
    if "weight" in encoded and not (encoded["weight"].to_numpy(np.float32) > 0).any():
        raise InputError(
            "interactions: column 'weight' is 0 for all events in float32, so none could be a "
            "target; give those to predict a weight above 0"
        )
    codes, ids = pd.factorize(user_ids)
    encoded.insert(0, "user", codes.astype(np.int32))
    if POSITION in numeric and POSITION in encoded:
        encoded[POSITION] = _whole_positions(encoded, ids)
    if repeats == "first":
        _check_first_weights(encoded)
    if "timestamp" not in encoded and POSITION not in encoded and repeats == "first":
        taken = np.ones(len(encoded), bool)
        if "label" in encoded:
            taken = (encoded["label"] > 0).to_numpy()
        repeated = np.zeros(len(encoded), bool)
        repeated[taken] = encoded.loc[taken, ["user", "item"]].duplicated()
        if repeated.any():
            if duplicates == "error":
                row = int(np.argmax(repeated))
                raise InputError(
                    f"interactions: {repeated.sum()} repeated user-item pairs, first "
                    f"({user_ids[row]!r}, {catalogue.vocabulary.ids[encoded['item'][row]]!r}); "
                    "pass the column of their times as columns={'timestamp': 'COLUMN'} "
                    "(--columns timestamp=COLUMN), or of their order as 'position', or pass "
                    "duplicates='first' (in a run's config data.duplicates). "
                    f"Columns received: {list(frame.columns)}"
                )
            _log.warning(
                "interactions: kept the first of %d repeated user-item pairs", repeated.sum()
            )
            encoded = encoded[~repeated]
    return encoded, ids


def _check_labels(labels: Sequence[str], frame: pd.DataFrame) -> None:
    """Raises InputError unless `labels` are columns that may be labels, each once."""
    listed = isinstance(labels, list | tuple)
    if not listed or not all(isinstance(name, str) for name in labels):
        raise InputError(
            "interactions: labels must be a list of names of columns, e.g. ['buy', 'spend']. "
            f"Received: {labels!r}"
        )
    taken = [name for name in labels if name in _NO_LABELS or labels.count(name) > 1]
    if taken:
        raise InputError(
            f"interactions: labels must be distinct columns other than {', '.join(_NO_LABELS)}; "
            f"'label' itself is always one. Received: {taken[0]!r}"
        )
    require_columns(frame, ["user_id", "item_id", *labels], "interactions")


def number_columns(columns: Container[str]) -> tuple[str, ...]:
    """Returns the names of the numeric columns; `position` is one only without `timestamp`."""
    return _NUMBERS if "timestamp" in columns else (*_NUMBERS, POSITION)


def _whole_positions(columns: pd.DataFrame, ids: np.ndarray) -> np.ndarray:
    """`[n]` int64: the positions, checked to be whole and distinct for each user."""
    positions = columns[POSITION].to_numpy(np.float64)
    broken = (positions != np.rint(positions)) | (np.abs(positions) > _LARGEST_WHOLE)
    if broken.any():
        raise InputError(
            f"interactions: column 'position' must hold whole numbers, the order of a user's "
            f"events, but {broken.sum()} values are not. Received: {positions[broken][0]:g} at row "
            f"{int(np.argmax(broken))}"
        )
    tied = columns.duplicated(["user", POSITION]).to_numpy()
    if tied.any():
        first = int(np.argmax(tied))
        raise InputError(
            f"interactions: column 'position' must give each event of a user another number, but "
            f"{tied.sum()} events have that of an earlier one; number each user's events 0, 1, 2, "
            "..., or rename the column if it is no order of events, e.g. "
            "columns={'slot': 'position'}. Received: "
            f"{positions[first]:.0f} twice for user {str(ids[columns['user'][first]])!r}"
        )
    return positions.astype(np.int64)


def _weights_of_types(
    frame: pd.DataFrame, weights: Mapping[str, float], repeats: str, nulls: str
) -> np.ndarray:
    """`[n]` float64: the weight of each event's type."""
    if not isinstance(weights, Mapping):
        raise InputError(
            "interactions: event_weights must be a mapping from types to weights, e.g. "
            f"{{'view': 0, 'buy': 1}}. Received: {type(weights).__name__}"
        )
    for kind, weight in weights.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not (number and 0 <= weight <= _LARGEST):
            raise InputError(
                "interactions: event_weights must be numbers from 0 to 1e38. "
                f"Received: {weight!r} for {kind!r}"
            )
    if not any(weights.values()):
        raise InputError(
            "interactions: event_weights must give at least one type of event a weight above 0. "
            f"Received: {dict(weights)}"
        )
    if repeats == "first" and not all(weights.values()):
        raise InputError(
            "interactions: event_weights of 0 need repeats='all', as only the first event of a "
            "user and an item would count, be it a view; pass it or drop the events. "
            f"Received: {dict(weights)}"
        )
    require_columns(frame, ["event"], "interactions")
    kinds = frame["event"]
    if not kinds.dropna().map(lambda kind: isinstance(kind, Hashable)).all():
        raise InputError("interactions: column 'event' must hold texts, and it holds lists")
    found = kinds.map({kind: float(weight) for kind, weight in weights.items()})
    # A saved config has types that are numbers as texts.
    texts = {str(kind): float(weight) for kind, weight in weights.items()}
    found = found.fillna(kinds[kinds.notna()].map(str).map(texts))
    unknown = found.isna().to_numpy()
    if kinds.isna().any() and not any(pd.isna(kind) for kind in weights):
        raise InputError(
            f"interactions: column 'event' has {int(kinds.isna().sum())} missing values; fill them "
            f"in, or pass nulls='drop'. Received: nulls={nulls!r}"
        )
    if unknown.any():
        examples = pd.unique(frame["event"][unknown])[:3].tolist()
        raise InputError(
            f"interactions: column 'event' has {unknown.sum()} events of types that event_weights "
            f"lacks, first {examples}; add them, with 0 for types that are never a target, or drop "
            f"the events. Received: {dict(weights)}"
        )
    return found.to_numpy(np.float64)


def _check_first_weights(columns: pd.DataFrame) -> None:
    """Checks that no pair has events of weight 0 and others: which is first would decide."""
    if "weight" not in columns:
        return
    taken = columns[columns["label"] > 0] if "label" in columns else columns
    of_pairs = taken.groupby(["user", "item"])["weight"]
    mixed = int(((of_pairs.min() <= 0) & (of_pairs.max() > 0)).sum())
    if mixed:
        raise InputError(
            f"interactions: column 'weight' has {mixed} user-item pairs with events of weight 0 "
            "and others; if only the first counts, one of weight 0 may hide a target. Pass "
            "repeats='all', or drop the events of weight 0"
        )


def _check_weights(columns: pd.DataFrame) -> None:
    if "weight" not in columns:
        return
    with np.errstate(over="ignore", under="ignore"):
        single = columns["weight"].to_numpy(np.float32)
    if not np.isfinite(single).all():
        raise InputError(
            f"interactions: column 'weight' has {int((~np.isfinite(single)).sum())} values beyond "
            "float32, after event_weights if given; scale them"
        )
    negative = (columns["weight"] < 0).to_numpy()
    if negative.any():
        raise InputError(
            f"interactions: column 'weight' has {negative.sum()} negative values, first "
            f"{columns['weight'][negative].iloc[0]} at row {int(np.argmax(negative))}; correct them"
        )
