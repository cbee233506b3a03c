"""Feedback on its way to the disk: a queue, a journal, Parquet files."""

from __future__ import annotations

import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.files import alone
from tfrec_fusion.server.feedback.journal import Journal, write_parquet

_MAX_WAITING = 10_000  # requests
_RETRY_SECONDS = 30.0  # until a journal that could not be made a file is tried again
_ROTATE, _STOP = "rotate", "stop"


@dataclass
class _Group:
    """Events that go to the disk together, and what comes after them."""

    events: list[dict] = field(default_factory=list)
    waiting: list[tuple[int, Future]] = field(default_factory=list)
    then: str = ""


class FeedbackLog:
    """Keeps events in `events-*.parquet` files of a folder that it alone writes to.

    A thread writes what is waiting to a journal, all of it at once, and what was acknowledged is on
    the disk. Each journal becomes a Parquet file when it is old or long enough, and at `close`.
    Journals of servers that were killed are made into files at the start; lines that are no events
    go to a file `*.bad` then. While the disk is full nothing is taken, and all that was, stays.

    Args:
      folder: its files can be read by their owner alone.
      rotate_rows, rotate_seconds: a journal of that many events or that old becomes a file.
      log: is told of files and failures by name and fields.

    Raises:
      InputError: another server has the folder.

    Example:
      >>> log = FeedbackLog(Path("feedback"))
      >>> log.append([{"kind": "click", "time": 1.7e9, "user_id": "u17"}]).result()
      1
      >>> log.close()
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
        self._queue: queue.Queue = queue.Queue(_MAX_WAITING)
        self._journal: Journal | None = None
        self._failing, self._not_before = "", 0.0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = ExitStack()
        self._held.enter_context(
            alone(folder / ".feedback.lock", "serve: another server keeps feedback in the folder")
        )
        for path in sorted(folder.glob("events-*.journal")):
            self._recover(path)
        # Nothing is taken once this is set, and `close` waits for what was.
        self._closing, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[dict]) -> Future:
        """Takes events of `SCHEMA`'s columns.

        Returns:
          Their number, once they are on the disk, or a StatusError, UNAVAILABLE, if they could not
          be written; none of them is kept then.

        Raises:
          StatusError: UNAVAILABLE; too many are waiting, and the events are not taken.
        """
        done: Future = Future()
        done.set_running_or_notify_cancel()  # a client that goes away takes nothing back
        with self._closing:
            if self._closed:
                raise StatusError("UNAVAILABLE", "feedback: the server is stopping")
            try:
                self._queue.put_nowait((events, done))
            except queue.Full:
                raise StatusError(
                    "UNAVAILABLE", "feedback: too much is waiting to be written"
                ) from None
        return done

    def rotate(self) -> None:
        """Makes a file of the events so far, as soon as they are written."""
        with self._closing:
            if not self._closed:
                self._queue.put(_ROTATE)

    def close(self) -> None:
        """Writes all that was taken into a file and gives the folder back."""
        with self._closing:
            closed, self._closed = self._closed, True
        if not closed:
            self._queue.put(_STOP)
            self._thread.join()
            self._held.close()

    def _run(self) -> None:
        then = ""
        while then != _STOP:
            group = self._next()
            then = group.then
            self._write(group)
            if then or self._due():
                self._make_file(now=bool(then))

    def _next(self) -> _Group:
        """What is waiting, up to the end of a file; waits for something, or for a file's time."""
        group = _Group()
        room = self._rotate_rows - (self._journal.rows if self._journal else 0)
        while not group.then and (not group.events or len(group.events) < room):
            try:
                found = self._queue.get(not group.events, self._seconds_left())
            except queue.Empty:
                break
            if isinstance(found, str):
                group.then = found
            else:
                events, done = found
                group.events.extend(events)
                group.waiting.append((len(events), done))
        return group

    def _seconds_left(self) -> float | None:
        if self._journal is None:
            return None
        left = self._rotate_seconds - self._journal.age
        return max(0.0, left, self._not_before - time.monotonic())

    def _due(self) -> bool:
        journal = self._journal
        return journal is not None and (
            journal.rows >= self._rotate_rows or journal.age >= self._rotate_seconds
        )

    def _write(self, group: _Group) -> None:
        if not group.events:
            return
        try:
            if self._journal is None:
                self._journal = Journal(self._new_path())
            self._journal.write(group.events)
        except Exception as error:
            self._fails(error)
            problem = StatusError(
                "UNAVAILABLE",
                f"feedback: cannot be written now ({_reason(error)}); nothing was kept, try again",
            )
            for _, done in group.waiting:
                done.set_exception(problem)
            return
        if self._failing:
            self._failing = ""
            self._log("feedback_works_again")
        for number, done in group.waiting:
            done.set_result(number)

    def _make_file(self, now: bool) -> None:
        """Makes a file of the journal, which stays where that fails."""
        journal = self._journal
        if journal is None or (time.monotonic() < self._not_before and not now):
            return
        try:
            rows = journal.to_parquet()
        except Exception as error:
            self._fails(error)
            self._not_before = time.monotonic() + _RETRY_SECONDS
            return
        self._journal = None
        if rows:
            self._log("feedback_written", events=rows, file=_target(journal.path))

    def _recover(self, path: Path) -> None:
        try:
            rows, bad = write_parquet(path.read_bytes(), path)
            path.unlink()
        except Exception as error:  # it waits for the next start
            self._fails(error)
            return
        if bad:
            self._log("feedback_bad_lines", lines=bad, file=str(path.with_suffix(".bad")))
        self._log("feedback_recovered", events=rows, file=_target(path))

    def _fails(self, error: Exception) -> None:
        """Logs a failure unless it was the last one too."""
        reason = _reason(error)
        if reason != self._failing:
            self._failing = reason
            self._log("feedback_failed", error=reason)

    def _new_path(self) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        return self._folder / f"events-{stamp}-{os.getpid()}-{uuid.uuid4().hex[:8]}.journal"


def _target(path: Path) -> str:
    return str(path.with_suffix(".parquet"))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return f"{type(error).__name__}: {error}"
