"""Feedback on its way to the disk: a queue, a journal, Parquet files."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from tfrec_fusion.files import sync
from tfrec_fusion.serving.server.feedback.events import SCHEMA
from tfrec_fusion.serving.server.status import StatusError

_FLUSH_SECONDS = 0.25
_MAX_WAITING = 10_000  # requests


class FeedbackLog:
    """Keeps events in `events-*.parquet` files of a folder.

    `append` only puts them in a queue. A thread writes them to a journal, which is on the disk
    after a quarter of a second, and each journal becomes a Parquet file when it is old or long
    enough, and at `close`. Journals of servers that were killed are made into files at the start.

    Args:
      folder: several servers may share it.
      rotate_rows, rotate_seconds: a journal of that many events or that old becomes a file.
      log: is told of files and failures by name and fields.

    Example:
      >>> log = FeedbackLog(Path("feedback"))  # doctest: +SKIP
      >>> log.append([{"kind": "click", ...}])  # doctest: +SKIP
      >>> log.close()  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: Path,
        rotate_rows: int = 100_000,
        rotate_seconds: float = 300.0,
        log: Callable[..., None] = lambda event, **fields: None,
    ):
        self._folder, self._log = folder, log
        self._rotate_rows, self._rotate_seconds = rotate_rows, rotate_seconds
        self._queue: queue.Queue[Sequence[dict] | None] = queue.Queue(_MAX_WAITING)
        folder.mkdir(parents=True, exist_ok=True)
        self._number = 0
        self._journal: _Journal | None = None
        for path in sorted(folder.glob("*.journal")):
            self._recover(path)
        self._thread = threading.Thread(target=self._write, name="feedback", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[dict]) -> None:
        """Takes events of `SCHEMA`'s columns; returns at once.

        Raises:
          StatusError: UNAVAILABLE; the disk is too slow, and the events are not taken.
        """
        try:
            self._queue.put_nowait(events)
        except queue.Full:
            raise StatusError(
                "UNAVAILABLE", "feedback: too much is waiting to be written"
            ) from None

    def close(self) -> None:
        """Writes all that was taken into a file."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _write(self) -> None:
        open_ended = True
        while open_ended:
            try:
                open_ended = self._take()
                if self._journal is not None:
                    self._journal.flush()
                    if not open_ended or self._full():
                        self._rotate()
            except Exception as error:  # the next events may find room again
                self._log("feedback_failed", error=f"{type(error).__name__}: {error}")
                time.sleep(_FLUSH_SECONDS)

    def _take(self) -> bool:
        """Writes what comes until it is time to flush; False at the end."""
        ends = time.monotonic() + _FLUSH_SECONDS
        while (left := ends - time.monotonic()) > 0:
            try:
                events = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if events is None:
                return False
            if self._journal is None:
                self._journal = _Journal(self._new_path())
            self._journal.write(events)
            if self._full():
                break
        return True

    def _full(self) -> bool:
        journal = self._journal
        return journal is not None and (
            journal.rows >= self._rotate_rows or journal.age >= self._rotate_seconds
        )

    def _rotate(self) -> None:
        journal, self._journal = self._journal, None
        rows = journal.rows
        self._to_parquet(journal.path)
        journal.close()
        self._log("feedback_written", events=rows, file=str(_target(journal.path)))

    def _recover(self, path: Path) -> None:
        with path.open("a", encoding="utf-8") as file:
            if not _lock(file):
                return  # another server is writing it
            self._to_parquet(path)
        self._log("feedback_recovered", file=str(_target(path)))

    def _to_parquet(self, path: Path) -> None:
        target = _target(path)
        # A server that was killed between the two steps below has left both.
        if not target.exists():
            events = _read(path)
            if events:
                temporary = target.with_suffix(".tmp")
                pq.write_table(pa.Table.from_pylist(events, SCHEMA), temporary)
                sync(temporary)
                os.replace(temporary, target)
                sync(self._folder)
        path.unlink()

    def _new_path(self) -> Path:
        self._number += 1
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        return self._folder / f"events-{stamp}-{os.getpid()}-{self._number}.journal"


class _Journal:
    """A line of JSON an event; locked while its server lives."""

    def __init__(self, path: Path):
        self.path, self.rows, self._begun = path, 0, time.monotonic()
        self._file = path.open("x", encoding="utf-8")
        _lock(self._file)

    @property
    def age(self) -> float:
        return time.monotonic() - self._begun

    def write(self, events: Sequence[dict]) -> None:
        self._file.writelines(json.dumps(event) + "\n" for event in events)
        self.rows += len(events)

    def flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _read(path: Path) -> list[dict]:
    """The events of a journal, without one that is cut off."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if line.endswith("\n"):
            found.append(json.loads(line))
    return found


def _target(path: Path) -> Path:
    return path.with_suffix(".parquet")


def _lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
