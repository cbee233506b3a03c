"""Collects requests into batches and runs them in threads."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tfrec_fusion.serving.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.serving.server.batching.merging import Tensors, merge, rows_of, split
from tfrec_fusion.serving.server.metrics import Metrics
from tfrec_fusion.serving.server.status import StatusError, invalid


@dataclass
class _Task:
    inputs: Tensors
    rows: int
    deadline: float
    done: asyncio.Future
    enqueued: float = field(default_factory=time.monotonic)


@dataclass
class _Batch:
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0
    ready: bool = False


@dataclass
class _Queue:
    run: Callable[[Tensors], Tensors]
    batches: deque[_Batch] = field(default_factory=deque)


class Batcher:
    """Merges requests of the same kind, as TF Serving's batching session does.

    Used from one event loop. A batch is run when it is full, or when it has waited for the timeout
    and a thread is free.

    Args:
      parameters: of the batches.
      metrics: get sizes and waiting times.
    """

    def __init__(self, parameters: BatchingParameters, metrics: Metrics):
        self._parameters, self._metrics = parameters, metrics
        self._threads = ThreadPoolExecutor(parameters.threads, "batch")
        self._free = parameters.threads
        self._running: set[asyncio.Future] = set()
        # Kinds that wait, in the order in which they get their turn.
        self._queues: dict[Hashable, _Queue] = {}

    async def run(
        self,
        kind: Hashable,
        run: Callable[[Tensors], Tensors],
        inputs: Tensors,
        deadline: float = float("inf"),
    ) -> Tensors:
        """The outputs of a request.

        Args:
          kind: requests of the same kind may be merged; `run` is the same for all of them.
          run: from inputs to outputs, in a thread.
          deadline: on the clock of `time.monotonic`; a batch that begins after that of all its
            requests is not run.

        Raises:
          StatusError: too many rows, UNAVAILABLE where too many batches wait, what `run` raises, or
            requests that cannot be merged.
        """
        rows, largest = rows_of(inputs), self._parameters.max_batch_size
        if rows == 0:
            # Nothing to fill a batch up with.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, run, inputs)
        if rows > largest:
            raise invalid(f"Task size {rows} is larger than maximum input batch size {largest}")
        task = _Task(inputs, rows, deadline, asyncio.get_running_loop().create_future())
        self._add(kind, run, task)
        return await task.done

    def close(self) -> None:
        """Ends the threads; no request may be waiting."""
        self._threads.shutdown()

    def _add(self, kind: Hashable, run: Callable, task: _Task) -> None:
        queue = self._queues.setdefault(kind, _Queue(run))
        batch = queue.batches[-1] if queue.batches else None
        if batch is None or batch.rows + task.rows > self._parameters.max_batch_size:
            waiting = len(queue.batches)
            if waiting >= self._parameters.max_enqueued_batches:
                raise StatusError(
                    "UNAVAILABLE",
                    "The batch scheduling queue to which this task was submitted is full; "
                    f"currently {waiting} batches enqueued and max_enqueued_batches is "
                    f"{self._parameters.max_enqueued_batches}",
                )
            if batch is not None:
                batch.ready = True
            batch = _Batch()
            queue.batches.append(batch)
            asyncio.get_running_loop().call_later(self._parameters.timeout, self._make_ready, batch)
        batch.tasks.append(task)
        batch.rows += task.rows
        if batch.rows == self._parameters.max_batch_size:
            batch.ready = True
        self._start()

    def _make_ready(self, batch: _Batch) -> None:
        batch.ready = True
        self._start()

    def _start(self) -> None:
        """Hands ready batches to free threads, each kind in its turn."""
        for kind in list(self._queues):
            if not self._free:
                return
            queue = self._queues[kind]
            if not queue.batches[0].ready:
                continue
            batch = queue.batches.popleft()
            del self._queues[kind]
            if queue.batches:
                self._queues[kind] = queue
            self._free -= 1
            work = asyncio.ensure_future(self._process(queue.run, batch))
            self._running.add(work)
            work.add_done_callback(self._running.discard)

    async def _process(self, run: Callable, batch: _Batch) -> None:
        try:
            answers = await self._answers(run, batch)
        except BaseException as error:
            self._fail(batch, error)
        else:
            for task, answer in zip(batch.tasks, answers, strict=True):
                if not task.done.done():
                    task.done.set_result(answer)
        finally:
            self._free += 1
            self._start()

    async def _answers(self, run: Callable, batch: _Batch) -> list[Tensors]:
        now = time.monotonic()
        for task in batch.tasks:
            self._metrics.observe("queuing_latency", now - task.enqueued, "")
        if all(task.deadline <= now for task in batch.tasks):
            raise StatusError(
                "RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue"
            )
        total = self._parameters.size_of(batch.rows)
        self._metrics.count("wrapped_run_count")
        self._metrics.observe("processed_batch_size", total, "")

        def work() -> list[Tensors]:
            merged = merge([task.inputs for task in batch.tasks], total, self._parameters.pad)
            return split(run(merged), [task.rows for task in batch.tasks], total)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @staticmethod
    def _fail(batch: _Batch, error: BaseException) -> None:
        for task in batch.tasks:
            if not task.done.done():
                task.done.set_exception(error)
