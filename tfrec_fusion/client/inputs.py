"""Arrays of the inputs of requests, from what callers give."""

from __future__ import annotations

import numbers
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.signature import NOTHING, neutral
from tfrec_fusion.texts import check_unicode
from tfrec_fusion.times import DAY, checked_ages, time_problem

AGES = "history_age"
"""The input of the ages of a history; it is padded as lists of ids are, with NaN."""

_TIME = "time"  # of the request; servers do not tell its kind
_AHEAD = 3653 * DAY


def choices(values: Iterable[str] | None, name: str) -> list[str | bytes]:
    """Maps None to no restriction, and an empty list to an unknown value, which matches nothing."""
    if values is None:
        return []
    return ids_of(values, name) or [NOTHING]


def counts(k: int, rows: int) -> list[int]:
    """The number of items asked for, for every row."""
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 1 <= int(k) < 2**31:
        raise InputError(f"client: k must be a whole number of at least 1. Received: {k!r}")
    return [int(k)] * rows


def filter_values(
    filters: Mapping[str, Any] | None, given: Mapping[str, Any], rows: int
) -> dict[str, list]:
    """One value of each filter for every row."""
    found = {}
    for name, value in (filters or {}).items():
        if given.get(name) is not None:
            raise InputError(
                f"client: filters: {name} is also given as an argument; keep one. "
                f"Received: {value!r}"
            )
        value = [value] if isinstance(value, str) else value
        value = choices(value, name) if isinstance(value, Iterable) else value
        found[name] = [value] * rows
    return found


def ids_of(ids: Iterable[str | bytes], name: str) -> list[Any]:
    """A list of ids; raises InputError if they are no strings."""
    if isinstance(ids, str | bytes):
        raise InputError(f"client: {name} must be a list of ids. Received: the text {ids!r}")
    found = list(ids)
    for value in found:
        if not isinstance(value, str | bytes):
            raise InputError(f"client: {name} must hold strings. Received: {value!r}")
    check_unicode([value for value in found if isinstance(value, str)], f"client: {name}")
    return found


def array(name: str, values: Any, dtype: str, rank: int, rows: int) -> np.ndarray:
    """The array of an input; lists of texts are padded, see `Client`.

    Raises:
      InputError: values of a wrong type or number, or times in another unit than seconds.
    """
    values = list(values)
    if len(values) != rows:
        raise InputError(
            f"client: {name} must have one value for each of the {rows} rows. "
            f"Received: {len(values)}"
        )
    if rank == 2 and dtype == "string":
        return _padded([ids_of(value, name) for value in values])
    if dtype == "string":
        return np.array(ids_of(values, name), object).reshape(rows)
    if name == AGES and rank == 2:
        return _padded(values, np.float32("nan"), dtype)
    try:
        found = np.asarray(values, dtype)
    except (TypeError, ValueError):
        raise InputError(f"client: {name} must be {dtype}. Received: {values[:3]!r}") from None
    if name == _TIME and dtype == "float64":
        _check_times(found)
    return found


def _check_times(values: np.ndarray) -> None:
    """Raises InputError for times that count milliseconds or less, and nothing else."""
    latest = time.time() + _AHEAD
    for value in values[np.isfinite(values) & (values > latest)].tolist():
        problem = time_problem(value, latest)
        if problem is not None and "these are" in problem:
            raise InputError(f"client: {_TIME} {problem}. Received: {value:g}")


def with_ages(ages: Any, histories: Any, rows: int) -> dict[str, list]:
    """Histories and their checked ages, one for each item; of a row without ages, none."""
    lists = [[] for _ in range(rows)] if histories is None else list(histories)
    lists = [ids if isinstance(ids, str | bytes) else list(ids) for ids in lists]
    found, name = list(ages), f"client: {AGES}"
    if len(found) == len(lists):
        pairs = zip(found, lists, strict=True)
        found = [[] if own is None else checked_ages(own, len(ids), name) for own, ids in pairs]
    return {"history": lists, AGES: found}


def _padded(lists: Sequence[Sequence], value: Any = "", dtype: Any = object) -> np.ndarray:
    """Pads lists to `[rows, 1 + longest]` with `value` in the first column and at the end."""
    width = 1 + max(map(len, lists), default=0)
    found = np.full([len(lists), width], value, dtype)
    for row, values in enumerate(lists):
        found[row, 1 : 1 + len(values)] = values
    return found


def neutral_array(dtype: str, rank: int, rows: int) -> np.ndarray:
    """The array of an input that is left out."""
    shape = [rows, *[1] * (rank - 1)]
    return np.full(shape, neutral(dtype), object if dtype == "string" else dtype)
