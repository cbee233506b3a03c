"""How an export merges requests that wait at the same moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Merging:
    """How many requests become one run.

    Attributes:
      rows: of the largest run; a request of more runs alone.
      threads: runs at once. Requests are merged while all threads are busy, so none ever waits for
        others to come.
      waiting: runs that may wait for a thread; beyond that requests get UNAVAILABLE.
    """

    rows: int = 64
    threads: int = 2
    waiting: int = 100
