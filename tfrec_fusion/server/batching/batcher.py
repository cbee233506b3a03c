"""Collects requests into batches and runs them in threads."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.server.batching.merging import Tensors, merge, rows_of, split
from tfrec_fusion.server.metrics import Metrics


@dataclass
class _Task:
    inputs: Tensors
    rows: int
    deadline: float
    done: Future = field(default_factory=Future)
    enqueued: float = field(default_factory=time.monotonic)

    def __post_init__(self):
        # Mark as running, so that nobody can cancel it: its batch sets the result.
        self.done.set_running_or_notify_cancel()


@dataclass
class _Batch:
    # On the clock of `time.monotonic`; 0 means ready now.
    ready_at: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


@dataclass
class _Queue:
    run: Callable[[Tensors], Tensors]
    batches: deque[_Batch] = field(default_factory=deque)


class Batcher:
    """Merges requests of the same kind into batches, like TF Serving's batching session.

    Thread-safe. A thread runs a batch once it is full or has waited for the timeout.

    Args:
      parameters: batch sizes, timeout and threads.
      metrics: receives batch sizes and queueing times.
    """

    def __init__(self, parameters: BatchingParameters, metrics: Metrics):
        self._parameters, self._metrics = parameters, metrics
        # Kinds with waiting batches, in round-robin order.
        self._queues: dict[Hashable, _Queue] = {}
        self._changed, self._closed = threading.Condition(), False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch_{number}", daemon=True)
            for number in range(parameters.threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        kind: Hashable,
        run: Callable[[Tensors], Tensors],
        inputs: Tensors,
        deadline: float = float("inf"),
    ) -> Future:
        """Queues a request; the future it returns gets the outputs once its batch has run.

        Args:
          kind: requests of the same kind may be merged, and must have the same `run`.
          run: maps inputs to outputs; called in a thread.
          inputs: name -> array `[rows, ...]`.
          deadline: on the clock of `time.monotonic`; a batch does not run if the deadlines of all
            its requests have passed.

        Returns:
          A future. Its error is what `run` raises, or a StatusError if all deadlines passed or the
          requests cannot be merged.

        Raises:
          StatusError: too many rows; UNAVAILABLE if too many batches wait or the batcher is closed.
        """
        rows, largest = rows_of(inputs), self._parameters.max_batch_size
        if rows > largest:
            raise invalid(f"Task size {rows} is larger than maximum input batch size {largest}")
        task = _Task(inputs, rows, deadline)
        if not rows:
            # An empty request runs alone, and does not close a batch that is being filled.
            kind = (kind, "empty")
        with self._changed:
            if self._closed:
                raise _stopping()
            self._add(kind, run, task)
        return task.done

    def close(self) -> None:
        """Stops the threads after their running batches; waiting requests fail."""
        with self._changed:
            self._closed = True
            waiting = [batch for queue in self._queues.values() for batch in queue.batches]
            self._queues.clear()
            self._changed.notify_all()
        for task in (task for batch in waiting for task in batch.tasks):
            task.done.set_exception(_stopping())
        for thread in self._threads:
            thread.join()

    def _add(self, kind: Hashable, run: Callable, task: _Task) -> None:
        queue, largest = self._queues.get(kind), self._parameters.max_batch_size
        batch = queue.batches[-1] if queue else None
        # An empty request has no row to pad a batch with.
        alone = task.rows == 0
        if batch is None or alone or not batch.rows or batch.rows + task.rows > largest:
            waiting = len(queue.batches) if queue else 0
            if waiting >= self._parameters.max_enqueued_batches:
                raise StatusError(
                    "UNAVAILABLE",
                    "The batch scheduling queue to which this task was submitted is full; "
                    f"currently {waiting} batches enqueued and max_enqueued_batches is "
                    f"{self._parameters.max_enqueued_batches}",
                )
            if batch is not None:
                batch.ready_at = 0.0
            batch = _Batch(0.0 if alone else task.enqueued + self._parameters.timeout)
            self._queues.setdefault(kind, _Queue(run)).batches.append(batch)
            self._changed.notify()
        batch.tasks.append(task)
        batch.rows += task.rows
        if batch.rows == largest:
            batch.ready_at = 0.0
            self._changed.notify()

    def _work(self) -> None:
        # No local name may hold a batch while waiting for the next, or its model could not unload.
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Waits for a batch and runs it; False once the batcher is closed."""
        taken = self._take()
        if taken is None:
            return False
        run, batch = taken
        try:
            answers = self._answers(run, batch)
        except BaseException as error:
            # Break the reference cycle error -> frames -> tasks -> error.
            traceback.clear_frames(error.__traceback__)
            for task in batch.tasks:
                task.done.set_exception(error)
            del taken, run, batch, task
        else:
            for task, answer in zip(batch.tasks, answers, strict=True):
                task.done.set_result(answer)
        return True

    def _take(self) -> tuple[Callable, _Batch] | None:
        with self._changed:
            while True:
                taken, seconds = self._next()
                if taken is not None or self._closed:
                    return taken
                self._changed.wait(seconds)

    def _next(self) -> tuple[tuple[Callable, _Batch] | None, float | None]:
        """The next ready batch in round-robin order, or the seconds until one is ready."""
        soonest, now = float("inf"), time.monotonic()
        for kind, queue in self._queues.items():
            ready_at = queue.batches[0].ready_at
            if ready_at <= now:
                return (queue.run, self._taken(kind)), None
            soonest = min(soonest, ready_at)
        return None, None if soonest == float("inf") else soonest - now

    def _taken(self, kind: Hashable) -> _Batch:
        queue = self._queues.pop(kind)
        batch = queue.batches.popleft()
        if queue.batches:
            self._queues[kind] = queue
        if self._queues:
            # This thread may have taken the notification meant for the next batch; pass it on.
            self._changed.notify()
        return batch

    def _answers(self, run: Callable, batch: _Batch) -> Sequence[Tensors]:
        now = time.monotonic()
        for task in batch.tasks:
            self._metrics.observe("queuing_latency", now - task.enqueued, "")
        if all(task.deadline <= now for task in batch.tasks):
            raise StatusError(
                "RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue"
            )
        if not batch.rows:
            return [run(batch.tasks[0].inputs)]
        total = self._parameters.size_of(batch.rows)
        self._metrics.count("wrapped_run_count")
        self._metrics.observe("processed_batch_size", total, "")
        merged = merge([task.inputs for task in batch.tasks], total, self._parameters.pad)
        return split(run(merged), [task.rows for task in batch.tasks], total)


def _stopping() -> StatusError:
    return StatusError("UNAVAILABLE", "the server is stopping")
