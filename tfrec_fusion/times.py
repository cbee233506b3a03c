"""Validation of unix times in seconds and of ages in days, with hints about wrong units."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tfrec_fusion.errors import InputError

DAY = 86400.0
EARLIEST = 631_152_000.0  # 1990-01-01
_MOST_DAYS = 36_525.0  # a century; unix times in any unit are larger
LARGEST = 1e11
"""As seconds this is in the year 5138, as milliseconds in March 1973."""

_YEARS = (1900, 2200)
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
        if _YEARS[0] <= value <= _YEARS[1]:
            return f"{problem}; this looks like a year: take the seconds since 1970"
        for unit, (factor, advice) in _UNITS.items():
            if earliest <= value * factor <= latest:
                return f"{problem}; these are {unit}: {advice}"
    return problem


def checked_ages(ages: Iterable[float], n_items: int, name: str) -> list[float]:
    """Returns the ages of a history's items in days.

    Args:
      ages: one number for each item, from 0, i.e. now.
      n_items: number of items of the history.
      name: names the ages in errors.

    Raises:
      InputError: there are more or fewer ages than items, or ages that are no numbers, NaN,
        negative or above a century.

    Example:
      >>> checked_ages([30, 0.5], 2, "recommend: history_ages")
      [30.0, 0.5]
    """
    found: Any = list(ages) if isinstance(ages, Iterable) and not isinstance(ages, str) else None
    if found is None or len(found) != n_items:
        raise InputError(
            f"{name} must be a list with the age in days of each of the {n_items} items of the "
            f"history. Received: {ages!r:.100}"
        )
    wrong = [age for age in found if not (_is_number(age) and 0 <= age <= _MOST_DAYS)]
    if wrong:
        raise InputError(
            f"{name} must be days before now, from 0 to {_MOST_DAYS:,.0f}; {len(wrong)} of "
            f"{n_items} are not. Of a unix time in seconds, the age is (now - time) / {DAY:.0f}. "
            f"Received: {', '.join(f'{age!r:.40}' for age in wrong[:3])}"
        )
    return [float(age) for age in found]


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
