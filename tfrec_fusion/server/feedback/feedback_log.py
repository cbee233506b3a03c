"""Writes feedback to disk through a queue and a journal into Parquet files."""

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
_RETRY_SECONDS = 30.0  # after a journal could not be converted to Parquet
_ROTATE, _STOP = "rotate", "stop"


@dataclass
class _Group:
    """Events written to the disk together, and what to do afterwards: "", rotate or stop."""

    events: list[dict] = field(default_factory=list)
    waiting: list[tuple[int, Future]] = field(default_factory=list)
    then: str = ""


class FeedbackLog:
    """Writes events to `events-*.parquet` files in a folder that it locks.

    A thread writes all waiting events to a journal at once; acknowledged events are on the disk. A
    journal becomes a Parquet file once it is long or old enough, and at `close`. Journals left by
    killed servers are converted at the start; their invalid lines go to `*.bad` files. While the
    disk is full, new events are refused and acknowledged ones stay.

    Args:
      folder: folder of the files; only their owner can read these.
      rotate_rows, rotate_seconds: number of events and age at which a journal is converted.
      log: called with name and fields of events, e.g. files written and failures.

    Raises:
      InputError: another server uses the folder.

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
            alone(folder / ".feedback.lock", "serve: another server writes feedback to the folder")
        )
        for path in sorted(folder.glob("events-*.journal")):
            self._recover(path)
        # Once `_closed` is set no event is accepted; `close` waits for those accepted before.
        self._closing, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[dict]) -> Future:
        """Queues events that have the columns of `SCHEMA`.

        Returns:
          A future with the number of events once they are on the disk. If they cannot be written
          its error is a StatusError, UNAVAILABLE, and none of them is stored.

        Raises:
          StatusError: UNAVAILABLE; the queue is full or the log is closed.
        """
        done: Future = Future()
        done.set_running_or_notify_cancel()  # a client that disconnects must not cancel the write
        with self._closing:
            if self._closed:
                raise StatusError("UNAVAILABLE", "feedback: the server is stopping")
            try:
                self._queue.put_nowait((events, done))
            except queue.Full:
                raise StatusError(
                    "UNAVAILABLE", "feedback: too many events wait to be written; try again later"
                ) from None
        return done

    def rotate(self) -> None:
        """Converts the journal to a Parquet file once all queued events are written."""
        with self._closing:
            if not self._closed:
                self._queue.put(_ROTATE)

    def close(self) -> None:
        """Writes all accepted events to a Parquet file and unlocks the folder."""
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
        """Takes up to `rotate_rows` events; blocks until there are some or rotation is due."""
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
                f"feedback: the events cannot be written now ({_reason(error)}) and none of them "
                "was stored; try again",
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
        """Converts the journal to a Parquet file; on failure the journal stays."""
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
        except Exception as error:  # the next start tries again
            self._fails(error)
            return
        if bad:
            self._log("feedback_bad_lines", lines=bad, file=str(path.with_suffix(".bad")))
        self._log("feedback_recovered", events=rows, file=_target(path))

    def _fails(self, error: Exception) -> None:
        """Logs a failure, unless it repeats the last one."""
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
