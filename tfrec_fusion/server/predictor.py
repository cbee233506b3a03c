"""From a request's inputs to the model's outputs, for both protocols."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.batching.batcher import Batcher
from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.server.batching.merging import rows_of
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.metrics import Metrics
from tfrec_fusion.server.model_manager import ModelManager
from tfrec_fusion.server.servable import DEFAULT_SIGNATURE, Servable, SignatureSlots


class Predictor:
    """Checks requests, keeps them within the limits and runs them in threads.

    Args:
      manager: of the models.
      limits: of the requests.
      metrics: count and time them.
      log: gets a line for each, where that is wanted.
      batching: merge waiting requests; each runs on its own without it.
      threads: requests that run at once without batching.
    """

    def __init__(
        self,
        manager: ModelManager,
        limits: Limits,
        metrics: Metrics,
        log: Log,
        batching: BatchingParameters | None = None,
        threads: int = 8,
    ):
        self.manager, self.limits, self.metrics, self._log = manager, limits, metrics, log
        self._batcher = Batcher(batching, metrics) if batching is not None else None
        self._threads = ThreadPoolExecutor(threads, "predict")
        self._in_flight, self._counting = 0, threading.Lock()
        metrics.gauge("tfrec_fusion_in_flight_requests", lambda: self._in_flight)

    @property
    def batches(self) -> bool:
        """Whether waiting requests are merged."""
        return self._batcher is not None

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._in_flight

    @contextmanager
    def request(self) -> Iterator[float]:
        """Counts a request in for as long as the block takes.

        Yields:
          Its deadline where it brings none, on the clock of `time.monotonic`.

        Raises:
          StatusError: RESOURCE_EXHAUSTED; too many are being answered.
        """
        with self._counting:
            if self._in_flight >= self.limits.in_flight:
                raise self.limits.full()
            self._in_flight += 1
        try:
            yield time.monotonic() + self.limits.seconds
        finally:
            with self._counting:
                self._in_flight -= 1

    async def predict(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] = (),
        deadline: float = float("inf"),
    ) -> dict[str, np.ndarray]:
        """Output name -> array.

        Args:
          servable: held by the caller until the answer is there.
          signature: one that it has.
          outputs: the wanted ones; all by default.
          deadline: on the clock of `time.monotonic`.

        Raises:
          StatusError: inputs that do not fit, too much asked for, no answer by the deadline.
        """
        inputs = self._checked(servable, signature, inputs, outputs)
        started = time.monotonic()
        if deadline <= started:
            raise too_late()
        # Here and below no name holds the future: with an error in it, which holds this frame, the
        # model would wait for the garbage collector.
        try:
            async with asyncio.timeout_at(on_loop(deadline)):
                found = await asyncio.wrap_future(
                    self._start(servable, signature, inputs, outputs, deadline)
                )
        except TimeoutError:
            raise too_late() from None
        self._observe(servable, started)
        return found

    def predict_here(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] = (),
        deadline: float = float("inf"),
    ) -> dict[str, np.ndarray]:
        """As `predict`, in the caller's own thread, which is not that of the event loop.

        A run that has begun is not cut off at the deadline; the wait for a batch is.
        """
        inputs = self._checked(servable, signature, inputs, outputs)
        started = time.monotonic()
        if deadline <= started:
            raise too_late()
        if self._batcher is None:
            found = servable.run(signature, inputs, tuple(outputs))
        else:
            seconds = None if deadline == float("inf") else deadline - started
            try:
                found = self._start(servable, signature, inputs, outputs, deadline).result(seconds)
            except TimeoutError:
                raise too_late() from None
        self._observe(servable, started)
        return found

    def done(
        self, entrypoint: str, model: str, api: str, error: StatusError | None, seconds: float
    ) -> None:
        """Counts and logs a request that has been answered.

        Args:
          entrypoint: "REST" or "GRPC".
          model: as the request has it; names of models that are not served count as "".
        """
        if not self.manager.serves(model):
            model = ""
        status = "OK" if error is None else error.code
        self.metrics.count("request_count", 1, model, status)
        if error is None:
            self.metrics.observe("request_latency", seconds, model, api, entrypoint)
        self._log.request(entrypoint, model, api, status, seconds)

    def close(self) -> None:
        """Ends the threads after their last request."""
        if self._batcher is not None:
            self._batcher.close()
        self._threads.shutdown()

    def _start(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping,
        outputs: Sequence[str],
        deadline: float,
    ) -> Future:
        outputs = tuple(outputs)
        run = partial(servable.run, signature, outputs=outputs)
        # The model goes on after a deadline; its version must stay until it is done.
        servable.hold()
        try:
            if self._batcher is None:
                work = self._threads.submit(run, inputs)
            else:
                kind = (servable, signature, outputs)
                work = self._batcher.submit(kind, run, inputs, deadline)
        except BaseException:
            servable.release()
            raise
        work.add_done_callback(lambda _: servable.release())
        return work

    def _observe(self, servable: Servable, started: float) -> None:
        seconds = time.monotonic() - started
        self.metrics.observe("runtime_latency", seconds, servable.name, "Predict", "TF1")

    def _checked(self, servable: Servable, signature: str, inputs: Mapping, outputs) -> Mapping:
        slots = servable.signatures[signature]
        check_outputs(slots.outputs, outputs)
        for name, slot in slots.inputs.items():
            _check_input(name, inputs[name], slot)
        if slots.items is not None:
            rows_of(inputs)
        return self.limits.checked(inputs, slots.outputs, slots.items, slots.counts)


def signature_name(name: str) -> str:
    """The default one for ""."""
    return name or DEFAULT_SIGNATURE


def check_names(signature: SignatureSlots, given: Sequence[str]) -> None:
    """Refuses inputs whose names are not the signature's.

    Raises:
      StatusError: INVALID_ARGUMENT, as TF Serving says it.
    """
    slots, defaults = signature.inputs, signature.defaults
    if slots.keys() == set(given):
        return
    sent, wanted = ",".join(sorted(given)), ",".join(sorted(slots))
    if len(given) > len(slots) or (len(given) < len(slots) and not defaults):
        extra = ",".join(sorted(set(given) - set(slots)))
        missing = ",".join(sorted(set(slots) - set(given)))
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(slots)} len({{{sent}}}) != "
            f"len({{{wanted}}}). Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
        )
    for name in slots:
        if name not in given and name not in defaults:
            raise invalid(
                f"Signature input alias: {name} not found in request and no default value "
                "provided. "
                f"Inputs of the request: {{{sent}}}. Inputs with a default: "
                f"{{{','.join(sorted(defaults))}}}"
            )
    if not set(given) <= set(slots):
        used = ",".join(sorted(set(given) & set(slots)))
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {used}, request input: {sent}"
        )


def check_outputs(slots: Mapping[str, TensorSlot], wanted: Sequence[str]) -> None:
    """Refuses a filter of outputs that the signature does not have or that repeats one.

    Raises:
      StatusError: INVALID_ARGUMENT, as TF Serving says it.
    """
    seen = set()
    for name in wanted:
        if name not in slots:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the "
                f"set {{{','.join(sorted(slots))}}}."
            )
        if name in seen:
            raise invalid(f"duplicate output tensor alias: {name}")
        seen.add(name)


def _check_input(name: str, values: np.ndarray, slot: TensorSlot) -> None:
    if slot.numpy_type is not None and values.dtype != slot.numpy_type:
        raise invalid(
            f"Expects input {name} to be {slot.type_name} but {_shown(values.dtype)} is provided"
        )
    # As the rows of JSON come to scalar inputs; TF Serving's session takes any shape.
    if slot.shape is None or (slot.shape == () and values.ndim == 1):
        return
    fits = len(slot.shape) == values.ndim and all(
        size in (None, found) for size, found in zip(slot.shape, values.shape, strict=True)
    )
    if not fits:
        wanted = ",".join("?" if size is None else str(size) for size in slot.shape)
        found = ",".join(map(str, values.shape))
        raise invalid(f"input {name} must have the shape [{wanted}] but has the shape [{found}]")


def _shown(dtype: np.dtype) -> str:
    names = {"float32": "float", "float64": "double", "float16": "half", "object": "string"}
    return names.get(dtype.name, dtype.name)


def too_late() -> StatusError:
    """DEADLINE_EXCEEDED, to a request that was not answered in time."""
    return StatusError("DEADLINE_EXCEEDED", "Timed out waiting for the model to answer")


def on_loop(deadline: float) -> float | None:
    """A time of `time.monotonic` on the clock of the event loop."""
    if deadline == float("inf"):
        return None
    return asyncio.get_running_loop().time() + deadline - time.monotonic()
