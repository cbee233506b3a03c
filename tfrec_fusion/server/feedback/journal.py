"""Events on the disk, a line of JSON each, until they are a Parquet file."""

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
    """A file of events; what `write` has returned from is on the disk.

    A write that fails leaves nothing of it: the file is cut back to where it was.

    Args:
      path: of a new file, which its owner alone may read.

    Attributes:
      rows: events in the file.
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
        """Seconds since its start."""
        return time.monotonic() - self._begun

    def write(self, events: Sequence[dict]) -> None:
        """Adds events.

        Raises:
          OSError: none of them is in the file.
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
        """Makes the Parquet file, removes this one, and returns the events of that file.

        Without events there is no Parquet file.

        Raises:
          OSError: nothing has changed.
        """
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read(self._size)
        rows, _ = write_parquet(data, self.path)
        self.close()
        # One that cannot be removed is removed at the next start, as after a kill.
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        return rows

    def close(self) -> None:
        """Leaves the file as it is."""
        os.close(self._file)

    def _cut(self) -> None:
        """Back to the end of the last events that were written whole."""
        if os.fstat(self._file).st_size != self._size:
            os.ftruncate(self._file, self._size)


def write_parquet(data: bytes, path: Path) -> tuple[int, int]:
    """Writes a journal's events to `*.parquet` beside it, and what is no event to `*.bad`.

    Args:
      data: of the journal.
      path: of the journal.

    Returns:
      How many events and how many bad lines there are.
    """
    # A file that is there already is of the same journal, when it had these events or fewer.
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
