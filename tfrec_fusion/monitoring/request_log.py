"""Reads logged requests of any supported format into one frame."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tfrec_fusion.config import distinct_keys
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path
from tfrec_fusion.times import DAY, time_problem

_LISTS = ("history", "items", "item_ids", "scores")
COLUMNS = ("time", "signature", "version", "user_id", "k", *_LISTS)
_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


def read_requests(
    paths: str | os.PathLike | Iterable[str | os.PathLike], since: float | None = None
) -> pd.DataFrame:
    """Reads logged requests and their answers, one row per user of a request.

    Files ending in .parquet are Parquet; files ending in .jsonl or .ndjson (optionally .gz) have
    one JSON object per line; all others are TFRecord files of TF Serving's `PredictionLog`. A
    folder stands for all its files except hidden ones.

    Args:
      paths: one or more files or folders.
      since: unix time; earlier requests are left out.

    Returns:
      A frame with the columns `COLUMNS` and the context columns:

      - time: float64 unix seconds, NaN if not logged.
      - signature: str, "recommend" if not logged.
      - version: float64, NaN if not logged.
      - user_id: str, "" for none.
      - history: list of the request's history item ids, the latest last.
      - items: list of the request's other item ids, e.g. those to score.
      - k: float64, NaN if not logged.
      - item_ids: list of the answer's item ids, None if no answer was logged.
      - scores: list of the answer's scores, or None; probabilities are converted to logits.

    Raises:
      InputError: invalid data; names the file, the row (from 0) or line or record (from 1), and
        the column.
      ImportError: a file is a `PredictionLog`, and the extra `serving` is not installed.

    Example:
      >>> read_requests("logs/2026-11-22.jsonl")["user_id"].tolist()
      ['u17', 'a new visitor']
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    frames = [
        _read(file) for path in paths for file in _files(local_path(path, "monitor: requests"))
    ]
    if not frames:
        raise InputError("monitor: requests: give at least one file")
    found = pd.concat(frames, ignore_index=True)
    if since is None:
        return found
    if found["time"].isna().any():
        raise InputError(
            f"monitor: since needs the time of each request, but {found['time'].isna().sum()} "
            "requests have none; log it or leave since out"
        )
    return found[found["time"] >= since].reset_index(drop=True)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"monitor: requests: no such file. Received: {path}")
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.is_file() and file.name[0] != "."]
    if not found:
        raise InputError(f"monitor: requests: the folder is empty. Received: {path}")
    return found


def _read(path: Path) -> pd.DataFrame:
    if path.name.endswith(".parquet"):
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InputError(f"monitor: {path} is not readable as Parquet: {error}") from None
        return as_requests(frame, lambda row: f"monitor: {path}: row {row}")
    if path.name.endswith(_LINES):
        rows, name = _json_lines(path), "line"
    else:
        # Imported here because it needs TensorFlow, which takes seconds to import.
        from tfrec_fusion.monitoring.prediction_log import prediction_log_rows

        rows, name = prediction_log_rows(path), "record"
    places = [place for place, _ in rows]
    # dtype=object keeps values as they are; pandas could convert times and strings.
    frame = pd.DataFrame([row for _, row in rows], dtype=object)
    return as_requests(frame, lambda row: f"monitor: {path}: {name} {places[row]}")


def _json_lines(path: Path) -> list[tuple[int, dict]]:
    rows = []
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line, object_pairs_hook=distinct_keys)
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"monitor: {path}: line {number} is not JSON: {error}"
                    ) from None
                if not isinstance(row, dict):
                    raise InputError(f"monitor: {path}: line {number} is not a JSON object")
                rows.append((number, row))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"monitor: {path} is not readable as JSON lines: {error}") from None
    return rows


def as_requests(
    frame: pd.DataFrame, place: Callable[[int], str] = "requests: row {}".format
) -> pd.DataFrame:
    """Converts a frame of logged requests to the columns and types of `read_requests`.

    Args:
      frame: any of `COLUMNS`, at least `user_id` or `history`; other columns are context, but
        columns of lists of texts, e.g. of tags, which are left out.
      place: describes the source of a row number, for error messages.

    Raises:
      InputError: a missing column or an invalid value; names the place and the column.

    Example:
      >>> as_requests(pd.DataFrame({"user_id": ["u1"], "hour": [8]}))["hour"].tolist()
      [8.0]
    """
    n = len(frame)
    if n and not {"user_id", "history"} & set(frame.columns):
        raise InputError(
            f"{place(0)}: needs a column 'user_id' or 'history'. Received: {list(frame.columns)}"
        )
    given = {str(name): list(frame[name]) for name in frame.columns}
    checks = {
        "time": _time,
        "signature": lambda value: _text(value) or "recommend",
        "version": _number,
        "user_id": _text,
        "k": _number,
        **{name: _ids for name in _LISTS[:-1]},
        "scores": _scores,
    }
    columns = {}
    for name in COLUMNS:
        values = _apply(checks[name], given.pop(name, [None] * n), name, place)
        if name in ("history", "items"):
            values = [value or [] for value in values]
        columns[name] = values
    _drop_padding(columns, place)
    for name in ("time", "version", "k"):
        columns[name] = np.array(columns[name], float)
    for name, values in given.items():
        present = [value for value in values if not _missing(value)]
        if not present or not all(map(_are_texts, present)):
            columns[name] = _context(name, values, place)
    found = pd.DataFrame(index=range(n))
    for name, values in columns.items():
        dtype = float if name in ("time", "version", "k") else getattr(values, "dtype", object)
        found[name] = pd.Series(values, dtype=dtype)
    return found


def _apply(check: Callable, values: list, name: str, place: Callable) -> list:
    found = []
    for row, value in enumerate(values):
        try:
            found.append(check(value))
        except _ValueError as error:
            raise InputError(
                f"{place(row)}: column {name!r} must be {error}. Received: {value!r:.100}"
            ) from None
    return found


class _ValueError(Exception):
    """Its message is what a value must be."""


def _missing(value) -> bool:
    return (
        value is None
        or value is pd.NaT
        or value is pd.NA
        or (isinstance(value, float) and np.isnan(value))
    )


def _are_texts(value) -> bool:
    return isinstance(value, list | np.ndarray) and set(map(type, value)) <= {str}


def _text(value) -> str:
    if _missing(value):
        return ""
    if not isinstance(value, str):
        raise _ValueError("a text")
    return value


def _number(value) -> float:
    if _missing(value):
        return float("nan")
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise _ValueError("a number")
    return float(value)


def _time(value) -> float:
    """Unix seconds from a number, timestamp or ISO 8601 text (UTC unless it has a zone)."""
    if isinstance(value, str | pd.Timestamp):
        try:
            stamp = pd.Timestamp(value)
        except ValueError:
            raise _ValueError("unix seconds or an ISO 8601 time") from None
        stamp = stamp.tz_localize("UTC") if stamp.tz is None else stamp
        seconds = stamp.timestamp()
    else:
        seconds = _number(value)
    problem = None if np.isnan(seconds) else time_problem(seconds, time.time() + DAY)
    if problem is not None:
        raise _ValueError(problem.removeprefix("must be "))
    return seconds


def _ids(value) -> list[str] | None:
    if _missing(value):
        return None
    if not isinstance(value, list | tuple | np.ndarray) or not set(map(type, value)) <= {str}:
        raise _ValueError("a list of texts")
    return list(value)


def _scores(value) -> list[float] | None:
    if _missing(value):
        return None
    if not isinstance(value, list | tuple | np.ndarray):
        raise _ValueError("a list of numbers")
    if set(map(type, value)) == {float}:
        return list(value)
    # JSON has no NaN, so a null score means one that is not finite.
    return [_number(one) for one in value]


def _context(name: str, values: list, place: Callable) -> np.ndarray:
    """Converts numbers to float64 and texts to objects; missing values become NaN or ""."""
    present = [value for value in values if not _missing(value)]
    check = _text if any(isinstance(value, str) for value in present) else _flag_or_number
    found = _apply(check, values, name, place)
    return np.array(found, float if check is _flag_or_number else object)


def _flag_or_number(value) -> float:
    return float(value) if isinstance(value, bool | np.bool_) else _number(value)


def _drop_padding(columns: dict, place: Callable) -> None:
    """Removes "" (padding) from the lists, together with its scores."""
    for name in ("history", "items"):
        columns[name] = [[one for one in ids if one] for ids in columns[name]]
    for row, (ids, scores) in enumerate(zip(columns["item_ids"], columns["scores"], strict=True)):
        if ids is None:
            continue
        if scores is not None:
            if len(scores) != len(ids):
                raise InputError(
                    f"{place(row)}: column 'scores' must have one score for each of the "
                    f"{len(ids)} item_ids. Received: {len(scores)}"
                )
            columns["scores"][row] = [s for s, one in zip(scores, ids, strict=True) if one]
        columns["item_ids"][row] = [one for one in ids if one]
