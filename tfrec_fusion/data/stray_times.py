"""Finds stray timestamps: times that are probably wrong."""

from __future__ import annotations

import logging
import time

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.times import DAY, EARLIEST

YEAR = 365 * DAY
# Missing times are often 0 or -1; seconds read as milliseconds fall into January 1970.
_NEAR_ZERO = 31 * DAY
# Minimum number of events to look for outliers, and 1 / (largest share of outliers at an end).
_FEWEST, _SHARE = 100, 20
_log = logging.getLogger(__name__)


def plausible_times(times: np.ndarray, strays: str) -> np.ndarray:
    """Returns which events to keep, `[n]` bool; see `stray_times` for the criteria.

    Args:
      times: `[n]` finite unix seconds in any order.
      strays: "error", "drop" or "keep".

    Raises:
      InputError: there are stray times and `strays` is "error".
    """
    keep = np.ones(len(times), bool)
    if strays == "keep":
        return keep
    for reason, mask in stray_times(times, time.time()).items():
        if strays == "error":
            rows = np.flatnonzero(mask)[:3]
            dates = [np.datetime64(int(times[row]), "s").item() for row in rows]
            raise InputError(
                f"interactions: column 'timestamp' has {mask.sum()} of {len(times)} times {reason},"
                f" first at rows {', '.join(map(str, rows))} ({', '.join(map(str, dates))}); "
                "correct them, or pass stray_times='drop' to leave them out or 'keep' to use them "
                f"as they are (on the command line --stray-times). Received: {times[rows].tolist()}"
            )
        _log.warning("interactions: dropped %d events with times %s", mask.sum(), reason)
        keep &= ~mask
    return keep


def tell_of_old_times(times: np.ndarray) -> None:
    """Logs a warning if all times `[n]` are before 1990, e.g. because they count days."""
    if len(times) and times.max() < EARLIEST:
        first, last = (f"{end:.0f}" for end in (times.min(), times.max()))
        _log.warning(
            "interactions: all times are before 1990, from %s to %s unix seconds; if they count "
            "days, hours or minutes, multiply them by 86400, 3600 or 60. An export accepts such "
            "times only with any_time=True (--any-time)",
            first,
            last,
        )


def stray_times(times: np.ndarray, now: float) -> dict[str, np.ndarray]:
    """Finds stray times, by reason.

    - After today: more than a day after `now`, as local times may be ahead of UTC.
    - At 0 or within a month of it, if all others are at least ten years later: placeholders of
      missing times, or seconds among milliseconds.
    - Far from all others: with 100 events or more, up to a 20th of them at either end, if the gap
      to all others is longer than a year and longer than the span of all others. Sparse old events
      are no strays as long as their gaps are shorter than the span after them.

    Args:
      times: `[n]` finite unix seconds in any order.
      now: unix seconds.

    Returns:
      Reason -> `[n]` bool, only for reasons that apply to some time.
    """
    found = {"after today": times > now + DAY}
    zero = np.abs(times) < _NEAR_ZERO
    if zero.any() and not zero.all() and times[~zero].min() >= 10 * YEAR:
        found["at or near 0, probably missing or in another unit"] = zero
    others = ~np.any(list(found.values()), axis=0)
    if others.sum() >= _FEWEST:
        low, high = _bulk(np.sort(times[others]))
        found["far from all others"] = others & ((times < low) | (times > high))
    return {reason: mask for reason, mask in found.items() if mask.any()}


def _bulk(times: np.ndarray) -> tuple[float, float]:
    """First and last of the ascending times, without the outliers at both ends."""
    most = len(times) // _SHARE
    inner = times[most : len(times) - most]

    def first(ascending: np.ndarray, last: float) -> float:
        before, after = ascending[:most], ascending[1 : most + 1]
        far = after - before > np.maximum(YEAR, last - after)
        return ascending[np.flatnonzero(far)[-1] + 1 if far.any() else 0]

    return first(times, inner[-1]), -first(-times[::-1], -inner[0])
