"""Limits the memory that request bodies hold together."""

from __future__ import annotations

import asyncio

from tfrec_fusion.deploy.status import StatusError


class BodyBudget:
    """ASGI middleware that limits the bytes of all request bodies in memory.

    The received bytes of a body count until its request is answered. Beyond the limit it drops the
    incomplete body that started first, so that stalling clients shut nobody out; if all others are
    complete, it drops the new one. A dropped request's `receive` raises a `StatusError`.

    Args:
      app: an ASGI application.
      most: maximum bytes of all bodies together.
    """

    def __init__(self, app, most: int):
        self._app, self._most, self._held = app, most, 0
        self._unfinished: dict[_Body, None] = {}

    async def __call__(self, scope, receive, send) -> None:
        body = _Body()

        async def receive_counted():
            message = await body.wait(receive)
            if message["type"] == "http.request":
                self._take(body, len(message.get("body", b"")), message.get("more_body", False))
            return message

        async def send_closing(message):
            # The rest of a dropped body is not read, so close the connection.
            if body.dropped and message["type"] == "http.response.start":
                closing = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": closing}
            await send(message)

        try:
            await self._app(scope, receive_counted, send_closing)
        finally:
            self._release(body)

    def _take(self, body: _Body, size: int, more: bool) -> None:
        body.size += size
        self._held += size
        if more:
            self._unfinished.setdefault(body)
        else:
            self._unfinished.pop(body, None)
        while self._held > self._most:
            oldest = next(iter(self._unfinished), body)
            self._release(oldest)
            oldest.drop()
            if oldest is body:
                raise _full()

    def _release(self, body: _Body) -> None:
        self._held -= body.size
        body.size = 0
        self._unfinished.pop(body, None)


class _Body:
    """Size and state of one request's body."""

    def __init__(self):
        self.size, self.dropped = 0, False
        self._timeout: asyncio.Timeout | None = None

    async def wait(self, receive):
        """Waits for the next message; raises if the body is dropped meanwhile."""
        if self.dropped:
            raise _full()
        if not self.size:
            return await receive()
        try:
            async with asyncio.timeout(None) as self._timeout:
                return await receive()
        except TimeoutError:
            if self.dropped:
                raise _full() from None
            raise
        finally:
            self._timeout = None

    def drop(self) -> None:
        self.dropped = True
        if self._timeout is not None:
            self._timeout.reschedule(0)


def _full() -> StatusError:
    return StatusError("UNAVAILABLE", "request bodies hold too much memory; try again later")
