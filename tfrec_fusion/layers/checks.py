"""Checks of the arguments of layers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any


def checked_units(hidden: Iterable[int], name: str = "hidden", least: int = 0) -> list[int]:
    """Returns the units of layers as a list.

    Raises:
      ValueError: a number below 1, no list of whole numbers, or fewer than `least` of them.

    Example:
      >>> checked_units((64, 32))
      [64, 32]
    """
    found: list[int] = list(hidden) if isinstance(hidden, Iterable) else [0]
    if any(not isinstance(units, int) or isinstance(units, bool) or units < 1 for units in found):
        raise ValueError(
            f"{name} must be a list of whole numbers of 1 or more. Received: {hidden!r}"
        )
    if len(found) < least:
        raise ValueError(f"{name} must name {least} layer or more. Received: {hidden!r}")
    return found


def check_rate(dropout: float, name: str = "dropout") -> None:
    """Raises ValueError if `dropout` is not in [0, 1)."""
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"{name} must be in [0, 1). Received: {dropout}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raises ValueError if `value` is not a whole number of `least` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of {least} or more. Received: {value!r}")


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raises ValueError if `value` is not one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {value!r}")
