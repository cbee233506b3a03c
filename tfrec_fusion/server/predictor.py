"""Checks, limits and runs prediction requests of both protocols."""

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
    """Checks requests against signatures and limits, and runs them in threads.

    Args:
      manager: finds the versions of the models.
      limits: limits of requests.
      metrics: receives counts and latencies.
      log: receives a line for each request, if it logs requests.
      batching: merge waiting requests with these parameters; None runs each alone.
      threads: maximum concurrent model runs without batching.
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
        """Number of requests being answered."""
        return self._in_flight

    @contextmanager
    def request(self) -> Iterator[float]:
        """Counts a request as in flight inside the block.

        Yields:
          The deadline for a request without one of its own, on the clock of `time.monotonic`.

        Raises:
          StatusError: RESOURCE_EXHAUSTED; too many requests are in flight.
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
        """Runs a signature in a thread; returns output name -> array.

        Args:
          servable: the version; the caller must hold it until this returns.
          signature: name of one of its signatures.
          inputs: name -> array for each input; strings as `object` arrays of bytes.
          outputs: names of the outputs to return; all by default.
          deadline: on the clock of `time.monotonic`.

        Raises:
          StatusError: invalid inputs, a limit exceeded, or no answer by the deadline.
        """
        inputs = self._checked(servable, signature, inputs, outputs)
        started = time.monotonic()
        if deadline <= started:
            raise too_late()
        # No local name holds the future here or below: future -> error -> traceback -> this frame
        # would be a cycle, which keeps the model alive until a garbage collection.
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
        """Like `predict`, but runs in the calling thread, which must not be the event loop's.

        The deadline ends a wait for a batch, but not a run that has started.
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
        """Counts and logs an answered request.

        Args:
          entrypoint: "REST", "GRPC" or "PAGE".
          model: name in the request; names of models that are not served count as "".
          api: the method, e.g. "Predict".
          error: what it was refused with, if anything.
          seconds: its duration.
        """
        if not self.manager.serves(model):
            model = ""
        status = "OK" if error is None else error.code
        self.metrics.count("request_count", 1, model, status)
        if error is None:
            self.metrics.observe("request_latency", seconds, model, api, entrypoint)
        self._log.request(entrypoint, model, api, status, seconds)

    def close(self) -> None:
        """Stops the threads after their last request."""
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
        # A run goes on after its deadline; its version must stay loaded until it ends.
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
        slots.check_times(inputs)
        if slots.items is not None:
            rows_of(inputs)
        return self.limits.checked(inputs, slots.outputs, slots.items, slots.counts)


def signature_name(name: str) -> str:
    """Maps "" to the default signature's name."""
    return name or DEFAULT_SIGNATURE


def check_names(signature: SignatureSlots, given: Sequence[str]) -> None:
    """Checks that the input names are those of the signature; defaults may be missing.

    Raises:
      StatusError: INVALID_ARGUMENT, with TF Serving's text.
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
    """Checks that the wanted outputs are in the signature and unique.

    Raises:
      StatusError: INVALID_ARGUMENT, with TF Serving's text.
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
    # JSON rows reach scalar inputs as a list; TF Serving's session accepts any shape.
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
    """The error for a request that was not answered in time: DEADLINE_EXCEEDED."""
    return StatusError("DEADLINE_EXCEEDED", "Timed out waiting for the model to answer")


def on_loop(deadline: float) -> float | None:
    """Converts a deadline of `time.monotonic` to the event loop's clock; None for no deadline."""
    if deadline == float("inf"):
        return None
    return asyncio.get_running_loop().time() + deadline - time.monotonic()
