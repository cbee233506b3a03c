"""Schema and validation of feedback events."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pyarrow as pa

from tfrec_fusion.config import distinct_keys
from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.times import DAY, time_problem

KINDS = ("impression", "click")
MAX_EVENTS = 1000
_MAX_TEXT = 1000
_INT32, _INT64 = 2**31 - 1, 2**63 - 1

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("time", pa.float64()),
        ("model", pa.string()),
        ("version", pa.int64()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("position", pa.int32()),
        ("request_id", pa.string()),
    ]
)
"""Columns of the Parquet files; `time` in unix seconds, `position` from 1."""

_TEXTS = ("model", "user_id", "item_id")


def read_events(body: bytes, any_time: bool = False) -> list[dict]:
    """Parses a body `{"events": [{...}, ...]}` into events with all columns of `SCHEMA`.

    `kind`, `model`, `version`, `user_id`, `item_id` and `position` are required; `time` defaults
    to now and `request_id` to "".

    Args:
      any_time: also accept events from before 1990 and from more than a day ahead.

    Raises:
      StatusError: INVALID_ARGUMENT; names the event and the field.
    """
    try:
        document = json.loads(body, object_pairs_hook=distinct_keys)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise invalid("feedback: the body is not JSON") from None
    except ValueError as error:  # a duplicate key, or a number of thousands of digits
        raise invalid(f"feedback: {error}") from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        raise invalid(f'feedback: "events" must be a list of 1 to {MAX_EVENTS} events')
    now = time.time()
    found = [_event(position, event, now) for position, event in enumerate(events)]
    for position, event in enumerate(found):
        problem = None if any_time else time_problem(event["time"], now + DAY)
        if problem is not None:
            raise _wrong(position, f"time {problem}. Received: {event['time']}")
    return found


def kept_event(line: bytes) -> dict | None:
    """Parses a line of a journal; None if it is no event, e.g. after an interrupted write."""
    try:
        return _event(0, json.loads(line), 0.0) if line.endswith(b"\n") else None
    except (ValueError, RecursionError, StatusError):
        return None


def _event(position: int, event, now: float) -> dict:
    if not isinstance(event, Mapping):
        raise _wrong(position, "must be an object")
    unknown = sorted(set(event) - set(SCHEMA.names))
    if unknown:
        raise _wrong(position, f"has an unknown field {unknown[0]!r}; use {SCHEMA.names}")
    found = {"time": now, "request_id": "", **event}
    if found.get("kind") not in KINDS:
        raise _wrong(position, f"kind must be one of {list(KINDS)}")
    for name in (*_TEXTS, "request_id"):
        if not _is_text(found.get(name), empty=name == "request_id"):
            raise _wrong(position, f"{name} must be a text of at most {_MAX_TEXT} characters")
    for name, low, high in (("version", 0, _INT64), ("position", 1, _INT32)):
        if type(found.get(name)) is not int or not low <= found[name] <= high:
            raise _wrong(position, f"{name} must be a whole number of at least {low}")
    seconds = found["time"]
    if type(seconds) not in (int, float) or not abs(seconds) < _INT64:
        raise _wrong(position, "time must be unix seconds")
    return found


def _is_text(value, empty: bool) -> bool:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not (value or empty):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(position: int, problem: str) -> StatusError:
    return invalid(f"feedback: event {position} {problem}")
