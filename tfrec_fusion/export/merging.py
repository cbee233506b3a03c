"""The options of batching concurrent requests inside an export."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Merging:
    """How an export batches concurrent requests.

    Attributes:
      rows: most rows of a batch; a request with more runs alone.
      threads: batches that run at the same time. Requests are merged only while all threads are
        busy, so no request waits for later ones.
      waiting: batches that may wait for a thread; further requests get UNAVAILABLE.
    """

    rows: int = 64
    threads: int = 2
    waiting: int = 100
