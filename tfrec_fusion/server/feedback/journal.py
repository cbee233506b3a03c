"""Journal of feedback events, one JSON line each, until they become a Parquet file."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tfrec_fusion.files import new_file, sync
from tfrec_fusion.server.feedback.events import SCHEMA, kept_event

_PRIVATE = 0o600


class Journal:
    """A file of events that are on the disk once `write` returns.

    A failed write leaves no trace: the file is truncated to its size before it.

    Args:
      path: path of the new file, which only its owner may read.

    Attributes:
      rows: number of events in the file.
    """

    def __init__(self, path: Path):
        self.path, self.rows, self._begun = path, 0, time.monotonic()
        self._size = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(path, flags, _PRIVATE)
        try:
            sync(path.parent)
        except OSError:
            self.close()
            path.unlink()
            raise

    @property
    def age(self) -> float:
        """Seconds since the journal was created."""
        return time.monotonic() - self._begun

    def write(self, events: Sequence[dict]) -> None:
        """Appends events and syncs them to the disk.

        Raises:
          OSError: the write failed, and none of the events is in the file.
        """
        data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        self._cut()
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            self._cut()
            raise
        self._size += len(data)
        self.rows += len(events)

    def to_parquet(self) -> int:
        """Writes the Parquet file, removes the journal, and returns the number of events.

        Without events it writes no Parquet file.

        Raises:
          OSError: the Parquet file could not be written; the journal stays.
        """
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read(self._size)
        rows, _ = write_parquet(data, self.path)
        self.close()
        # If this fails, the next start converts and removes the journal again, as after a kill.
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        return rows

    def close(self) -> None:
        """Closes the file without changing it."""
        os.close(self._file)

    def _cut(self) -> None:
        """Truncates the file to the last complete write."""
        if os.fstat(self._file).st_size != self._size:
            os.ftruncate(self._file, self._size)


def write_parquet(data: bytes, path: Path) -> tuple[int, int]:
    """Writes a journal's events to `*.parquet` beside it, and its invalid lines to `*.bad`.

    Args:
      data: content of the journal.
      path: path of the journal.

    Returns:
      The number of events and of invalid lines.
    """
    # An existing target was written from the same journal, with these events or fewer.
    target = path.with_suffix(".parquet")
    events, bad = [], []
    for line in data.splitlines(keepends=True):
        event = kept_event(line)
        (bad if event is None else events).append(line if event is None else event)
    if bad:
        with new_file(path.with_suffix(".bad"), _PRIVATE) as file:
            file.writelines(bad)
    if events:
        with new_file(target, _PRIVATE) as file:
            pq.write_table(pa.Table.from_pylist(events, SCHEMA), file)
    return len(events), len(bad)
