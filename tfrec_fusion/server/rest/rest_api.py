"""TF Serving's REST interface as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.answers import metadata_json, status_json
from tfrec_fusion.server.codec.json_request import JsonRequest
from tfrec_fusion.server.codec.json_response import column_body, error_body, row_body
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.predictor import Predictor, on_loop, signature_name, too_late
from tfrec_fusion.server.rest.body import DisconnectedError, read_body
from tfrec_fusion.server.rest.paths import Target
from tfrec_fusion.server.servable import Servable

_JSON = (b"content-type", b"application/json")
# Below these sizes the event loop handles JSON itself, as a thread would cost more time.
_INLINE_BYTES, _INLINE_VALUES = 64 << 10, 5000


class RestApi:
    """ASGI application for `/v1/models...`: status, metadata and `:predict`.

    Args:
      predictor: runs the requests.
      log: receives unexpected errors.
    """

    def __init__(self, predictor: Predictor, log: Log):
        self._predictor, self._log = predictor, log

    async def __call__(self, scope, receive, send) -> None:
        started = time.monotonic()
        verb, path = scope["method"], scope["raw_path"].decode("latin-1")
        headers = dict(scope["headers"])
        if verb == "OPTIONS":
            await _send(send, *_preflight(headers))
            return
        name, method, error, close = "", "", None, False
        try:
            body = await read_body(receive, headers, self._predictor.limits)
            target = Target.of(verb, path)
            # In metrics, TF Serving leaves the method of metadata requests empty.
            name, method = target.name, target.method if verb == "POST" else ""
            answer = await self._answer(target, body)
        except DisconnectedError:
            return
        except StatusError as caught:
            # The rest of a too large or too slow body is not read, so close the connection.
            error, close = caught, caught.http in (408, 413)
        except Exception as caught:
            error = StatusError("INTERNAL", "internal error; see the log of the server")
            self._log.failure("rest", caught)
        seconds = time.monotonic() - started
        self._predictor.done("REST", name, method, error, seconds)
        if error is not None:
            await _send(send, error.http, error_body(error.message), close)
        else:
            await _send(send, 200, answer)

    async def _answer(self, target: Target, body: bytes) -> bytes:
        if target.method == "predict":
            with self._predictor.request() as deadline:
                return await self._predict(target, body, deadline)
        if target.method in ("classify", "regress"):
            raise StatusError(
                "UNIMPLEMENTED",
                f"{target.method} is not supported by this server; call predict with the signature",
            )
        if not target.name:
            raise invalid("Missing model name in request.")
        manager = self._predictor.manager
        if target.method:
            with manager.servable(target.name, target.version, target.label) as servable:
                return metadata_json(servable).encode()
        return status_json(manager.status(target.name, target.version)).encode()

    async def _predict(self, target: Target, body: bytes, deadline: float) -> bytes:
        self._predictor.limits.check_json(body)
        held = _Held(self._predictor.manager, target)
        try:
            inline = len(body) <= _INLINE_BYTES
            request = await _maybe_in_thread(inline, JsonRequest.parse, body, held.inputs_of)
            outputs = await self._predictor.predict(
                held.servable,
                signature_name(request.signature),
                request.inputs,
                deadline=deadline,
            )
        finally:
            held.release()
        write = row_body if request.rows else column_body
        inline = sum(values.size for values in outputs.values()) <= _INLINE_VALUES
        try:
            async with asyncio.timeout_at(on_loop(deadline)):
                return await _maybe_in_thread(inline, write, outputs)
        except TimeoutError:
            raise too_late() from None


class _Held:
    """Holds the version that a request addresses, from when its JSON names a signature."""

    def __init__(self, manager, target: Target):
        self._context = manager.servable(target.name, target.version, target.label)
        self._servable: Servable | None = None

    @property
    def servable(self) -> Servable:
        if self._servable is None:
            raise RuntimeError("no servable before the request names its signature")
        return self._servable

    def inputs_of(self, signature: str) -> Mapping[str, TensorSlot]:
        self._servable = self._context.__enter__()
        found = self.servable.signatures.get(signature_name(signature))
        if found is None:
            raise invalid(
                f'Serving signature name: "{signature_name(signature)}" not found in signature def'
            )
        return found.inputs

    def release(self) -> None:
        if self._servable is not None:
            self._context.__exit__(None, None, None)


async def _maybe_in_thread(inline: bool, function, *arguments):
    if inline:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def _preflight(headers: Mapping[bytes, bytes]) -> tuple[int, bytes]:
    origin = headers.get(b"origin", b"")
    return (200 if b"http://" in origin or b"https://" in origin else 400), b""


async def _send(send, status: int, body: bytes, close: bool = False) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
