"""Times that cannot be meant."""

from __future__ import annotations

import logging
import time

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.times import DAY, EARLIEST

YEAR = 365 * DAY
# 0 and -1 stand for missing times, and seconds taken for milliseconds are in the first month.
_NEAR_ZERO = 31 * DAY
# A gap at an end is looked for among so many events; fewer events have no bulk to be far from.
_FEWEST, _SHARE = 100, 20
_log = logging.getLogger(__name__)


def plausible_times(times: np.ndarray, strays: str) -> np.ndarray:
    """`[n]` bool: the events to keep, of which `times` `[n]` are; see `stray_times`.

    Args:
      times: finite unix seconds in any order.
      strays: "error", "drop" or "keep".

    Raises:
      InputError: there are strays, and `strays` is "error".
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
    """Logs a warning where all times `[n]` are before 1990, as days taken for seconds are."""
    if len(times) and times.max() < EARLIEST:
        first, last = (f"{end:.0f}" for end in (times.min(), times.max()))
        _log.warning(
            "interactions: all times are before 1990, from %s to %s unix seconds; if they count "
            "days, hours or minutes, multiply them by 86400, 3600 or 60. An export takes such "
            "times only with any_time=True (--any-time)",
            first,
            last,
        )


def stray_times(times: np.ndarray, now: float) -> dict[str, np.ndarray]:
    """Reason -> `[n]` bool, for each reason that some of the times are strays for.

    - After today: more than a day after `now`, as a local time may be ahead of UTC.
    - At 0 or within a month of it, where all others come ten years later or more: what stands for a
      missing time, or seconds among milliseconds.
    - Far from the others: of 100 events or more up to a 20th at either end, where the gap to all
      others is longer than a year and than the time that all these span. So old events that are
      sparse are no strays while their gaps are shorter than what follows.

    Args:
      times: `[n]` finite unix seconds in any order.
      now: unix seconds.
    """
    found = {"after today": times > now + DAY}
    zero = np.abs(times) < _NEAR_ZERO
    if zero.any() and not zero.all() and times[~zero].min() >= 10 * YEAR:
        found["at 0 or close to it, as of a missing time or of another unit"] = zero
    others = ~np.any(list(found.values()), axis=0)
    if others.sum() >= _FEWEST:
        low, high = _bulk(np.sort(times[others]))
        found["far from all others"] = others & ((times < low) | (times > high))
    return {reason: mask for reason, mask in found.items() if mask.any()}


def _bulk(times: np.ndarray) -> tuple[float, float]:
    """First and last of the ascending times without the strays at both ends."""
    most = len(times) // _SHARE
    inner = times[most : len(times) - most]

    def first(ascending: np.ndarray, last: float) -> float:
        before, after = ascending[:most], ascending[1 : most + 1]
        far = after - before > np.maximum(YEAR, last - after)
        return ascending[np.flatnonzero(far)[-1] + 1 if far.any() else 0]

    return first(times, inner[-1]), -first(-times[::-1], -inner[0])
