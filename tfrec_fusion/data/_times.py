"""Converts time columns of any type to unix seconds."""

from __future__ import annotations

import datetime
import logging
import re

import numpy as np
import pandas as pd

from tfrec_fusion.data.tables import inferred, numbers, of_categories
from tfrec_fusion.errors import InputError
from tfrec_fusion.texts import check_unicode
from tfrec_fusion.times import LARGEST

# unit -> how many make a second
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_ZONE = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)\s*$", re.IGNORECASE)
_EPOCH = datetime.datetime(1970, 1, 1)
_log = logging.getLogger(__name__)


def timestamps(
    frame: pd.DataFrame,
    column: str,
    what: str,
    unit: str | None = None,
    option: str = "timestamp_unit={!r} (--timestamp-unit {})",
) -> np.ndarray:
    """Converts a column of times to unix seconds.

    Args:
      frame: the table.
      column: name of the column.
      what: name of the table in errors.
      unit: of numbers: "s", "ms", "us" or "ns"; None takes seconds.
      option: the option for the unit in errors.

    Returns:
      `[n]` float64, NaN for missing values. Numbers are unix times; datetimes, dates and ISO 8601
      texts without a zone are UTC, and a date is its midnight.

    Raises:
      InputError: values are no times, or numbers look like another unit.
    """
    if unit is not None and unit not in UNITS:
        raise InputError(
            f"{what}: timestamp_unit must be one of {', '.join(UNITS)}. Received: {unit!r}"
        )
    values = of_categories(frame[column])
    if isinstance(values.dtype, pd.ArrowDtype):
        values = values.astype(object)
    values = inferred(values)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if values.dt.tz is None:
            _say_utc(column, what)
        else:
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        return _of_datetimes(values.to_numpy())
    texts_or_objects = pd.api.types.is_object_dtype(values.dtype) or isinstance(
        values.dtype, pd.StringDtype
    )
    if texts_or_objects and pd.api.types.infer_dtype(values, skipna=True) != "decimal":
        return _of_objects(values, column, what)
    if pd.api.types.is_bool_dtype(values.dtype):
        raise _no_time(column, what, "booleans", values.iloc[0], 0)
    found = numbers(values.to_frame(column), column, what)
    return _of_numbers(found, column, what, unit, option)


def _of_datetimes(values: np.ndarray) -> np.ndarray:
    """Converts naive datetime64 of any unit; whole seconds and fraction apart, for precision."""
    whole = values.astype("datetime64[s]")
    seconds = whole.astype(np.int64) + (values - whole) / np.timedelta64(1, "s")
    return np.where(np.isnat(values), np.nan, seconds)


def _of_objects(values: pd.Series, column: str, what: str) -> np.ndarray:
    found = np.full(len(values), np.nan)
    objects = values.to_numpy(object, copy=True, na_value=None)
    places = {str: [], datetime.date: []}
    for row, value in enumerate(objects):
        if value is None or value is pd.NaT or value is pd.NA:
            continue
        if isinstance(value, float) and value != value:
            continue
        kind = next((kind for kind in places if isinstance(value, kind)), None)
        if kind is None and isinstance(value, np.datetime64):
            objects[row], kind = pd.Timestamp(value), datetime.date
        if kind is None:
            # A number among texts, or another type.
            kinds = " and ".join(sorted({type(other).__name__ for other in objects}))
            texts = [other for other in objects if isinstance(other, str)]
            raise _no_time(column, what, kinds, texts[0] if texts else value, row)
        places[kind].append(row)
    rows = np.array(places[datetime.date], np.int64)
    naive = False
    for row in rows:
        found[row], zoned = _of_date(objects[row])
        naive |= not zoned
    rows = np.array(places[str], np.int64)
    check_unicode(
        [value if isinstance(value, str) else "" for value in objects],
        f"{what}: column {column!r}",
    )
    if len(rows):
        found[rows], zoned = _of_texts(objects[rows], rows, column, what)
        naive |= not zoned
    if naive:
        _say_utc(column, what)
    return found


def _of_date(value: datetime.date) -> tuple[float, bool]:
    """Unix seconds of a date, and whether it has a zone."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    offset = value.utcoffset()
    since = value.replace(tzinfo=None) - _EPOCH - (offset or datetime.timedelta(0))
    return since.total_seconds(), value.tzinfo is not None


def _of_texts(texts, rows, column: str, what: str) -> tuple[np.ndarray, bool]:
    digits = np.array([text.strip().lstrip("+-").isdigit() for text in texts], bool)
    # pandas would also parse "now" and "today".
    dated = np.array([text.strip()[:1].isdigit() for text in texts], bool)
    series = pd.Series(np.where(dated, texts, None), dtype=object)
    parsed = pd.to_datetime(series, utc=True, format="ISO8601", errors="coerce")
    bad = parsed.isna().to_numpy() & ~digits
    if bad.any():
        raise _no_time(column, what, f"{bad.sum()} other texts", texts[bad][0], rows[bad][0])
    if digits.any():
        raise InputError(
            f"{what}: column {column!r} holds texts of only digits, first {texts[digits][0]!r} at "
            f"row {rows[digits][0]}, which may be unix times or dates; convert them with "
            ".astype(float), or with pd.to_datetime(..., format='%Y%m%d')"
        )
    zoned = all(_ZONE.search(text[10:]) for text in texts)
    return _of_datetimes(parsed.dt.tz_localize(None).to_numpy()), zoned


def _of_numbers(
    values: np.ndarray, column: str, what: str, unit: str | None, option: str
) -> np.ndarray:
    there = np.abs(values[np.isfinite(values)])
    if not len(there):
        return values
    taken = unit or "s"
    median = np.quantile(there, 0.5, method="lower")
    found = _unit_of(median)
    # The unit of small numbers is ambiguous: they may be seconds of the first days of 1970.
    if UNITS[found] > UNITS[taken] or (found != taken and median > 1e8):
        try:
            date = pd.Timestamp(int(median / UNITS[found]), unit="s").date()
        except (pd.errors.OutOfBoundsDatetime, NotImplementedError, OverflowError):
            raise InputError(
                f"{what}: column {column!r} holds numbers beyond all times, e.g. {median:g}; "
                "correct them"
            ) from None
        raise InputError(
            f"{what}: column {column!r} looks like {_NAMES[found]} and not {_NAMES[taken]} (its "
            f"median {median:.0f} would be the date {date}); pass "
            f"{option.format(found, found)}"
        )
    seconds = values / UNITS[taken]
    far = np.abs(seconds) >= LARGEST
    if far.any():
        rows = ", ".join(map(str, np.flatnonzero(far)[:3]))
        raise InputError(
            f"{what}: column {column!r} has {far.sum()} values that look like another unit than "
            f"{_NAMES[taken]}, first {values[far][0]:.0f}, at rows {rows}; convert all to one unit"
        )
    return seconds


def _unit_of(value: float) -> str:
    for unit, size in UNITS.items():
        if value < LARGEST * size:
            return unit
    return "ns"


def _no_time(column: str, what: str, kinds: str, example, row: int) -> InputError:
    return InputError(
        f"{what}: column {column!r} must hold numeric unix times, datetimes, dates or ISO 8601 "
        f"texts (2024-05-31T12:30:00Z; UTC without a zone), all of one kind; convert it with "
        f"pd.to_datetime. Received: {example!r} at row {row} ({kinds})"
    )


def _say_utc(column: str, what: str) -> None:
    _log.warning("%s: times without a zone in column %r are read as UTC", what, column)
