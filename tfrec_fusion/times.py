"""Validation of unix times in seconds, with hints about wrong units."""

from __future__ import annotations

import math
import numbers
from datetime import UTC, datetime
from typing import Any

DAY = 86400.0
EARLIEST = 631_152_000.0  # 1990-01-01
_UNITS = {
    "days": (DAY, "multiply by 86400"),
    "milliseconds": (1e-3, "divide by 1000"),
    "microseconds": (1e-6, "divide by 1000000"),
    "nanoseconds": (1e-9, "divide by 1000000000"),
}


def time_problem(value: Any, latest: float, earliest: float = EARLIEST) -> str | None:
    """Returns what is wrong with a unix time in seconds, or None if it is valid.

    Args:
      value: the time; anything but a number is wrong.
      latest, earliest: the inclusive bounds of valid times.

    Example:
      >>> time_problem(1_700_000_000, latest=1.8e9)
      >>> time_problem(19_675, latest=1.8e9)
      'must be unix seconds from 1990-01-01 to 2027-01-15; these are days: multiply by 86400'
    """
    is_number = _is_number(value)
    if is_number and earliest <= value <= latest:
        return None
    problem = f"must be unix seconds from {_date(earliest)} to {_date(latest)}"
    if is_number and math.isfinite(value):
        for unit, (factor, advice) in _UNITS.items():
            if earliest <= value * factor <= latest:
                return f"{problem}; these are {unit}: {advice}"
    return problem


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def utc(seconds: float) -> str:
    """Formats a unix time as ISO 8601 in UTC, or as a number if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def _date(seconds: float) -> str:
    return utc(seconds)[:10]
