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
        # Nobody can cancel it any more: its batch sets it.
        self.done.set_running_or_notify_cancel()


@dataclass
class _Batch:
    # On the clock of `time.monotonic`; 0 for at once.
    ready_at: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


@dataclass
class _Queue:
    run: Callable[[Tensors], Tensors]
    batches: deque[_Batch] = field(default_factory=deque)


class Batcher:
    """Merges requests of the same kind, as TF Serving's batching session does.

    Used from any thread. A batch is run when it is full, or when it has waited for the timeout and
    a thread is free.

    Args:
      parameters: of the batches.
      metrics: get sizes and waiting times.
    """

    def __init__(self, parameters: BatchingParameters, metrics: Metrics):
        self._parameters, self._metrics = parameters, metrics
        # Kinds that wait, in the order in which they get their turn.
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
        """The outputs of a request, once its batch was run.

        Args:
          kind: requests of the same kind may be merged; `run` is the same for all of them.
          run: from inputs to outputs, in a thread.
          deadline: on the clock of `time.monotonic`; a batch that begins after that of all its
            requests is not run.

        Returns:
          A future; its errors are what `run` raises, and StatusError for a batch that came too late
          or requests that cannot be merged.

        Raises:
          StatusError: too many rows, or UNAVAILABLE where too many batches wait or it is closed.
        """
        rows, largest = rows_of(inputs), self._parameters.max_batch_size
        if rows > largest:
            raise invalid(f"Task size {rows} is larger than maximum input batch size {largest}")
        task = _Task(inputs, rows, deadline)
        if not rows:
            # Alone, and at no cost to a batch that waits to be filled.
            kind = (kind, "empty")
        with self._changed:
            if self._closed:
                raise _stopping()
            self._add(kind, run, task)
        return task.done

    def close(self) -> None:
        """Ends the threads after what they run; what waits fails."""
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
        # Nothing to fill a batch up with.
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
        # Between two batches no local name may hold the last one: its model may be unloaded then.
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Waits for a batch and runs it; False at the end."""
        taken = self._take()
        if taken is None:
            return False
        run, batch = taken
        try:
            answers = self._answers(run, batch)
        except BaseException as error:
            # The error holds its frames, which would hold the tasks, which hold the error.
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
        """A batch to run, each kind in its turn, or the seconds until there is one."""
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
            # The thread that was told of the next one may be this.
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
