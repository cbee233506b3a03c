"""uvicorn's HTTP protocol with limits on headers and on slow clients."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tfrec_fusion.server.rest.connections import Connections

# Extra time, so that the application's own deadline of a body comes first and gets an answer.
_GRACE_SECONDS = 5.0
_REASONS = {
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class BoundedHttp(HttpToolsProtocol):
    """A connection with deadlines for sending headers and bodies and for reading answers.

    Its methods are those of `asyncio.Protocol` and the callbacks of httptools' parser.

    Args:
      among: all connections of the server.
      seconds: time to send a body, and longest time without progress in reading an answer.
      **options: options of uvicorn's protocol.
    """

    def __init__(self, among: Connections, seconds: float, **options):
        super().__init__(**options)
        self._among, self._limits, self._seconds = among, among.limits, seconds
        self._in_head, self._head_left = True, self._limits.header_bytes
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._expect(self._limits.header_seconds)
        if not self._among.enter(self, self.client[0] if self.client else ""):
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.leave(self)
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            part, data = data, b""
            if self._in_head:
                # Parse at most the allowed bytes of the headers; bytes after them do not count.
                part, data = part[: self._head_left], part[self._head_left :]
                self._head_left -= len(part)
                if self._reading is None:
                    self._expect(self._limits.header_seconds)
            super().data_received(part)
            if self._in_head and self._head_left <= 0 and not self.transport.is_closing():
                self._refuse(431)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._expect(self._seconds + _GRACE_SECONDS)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_left = True, self._limits.header_bytes
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if not self.cycle.response_complete:
            self._among.is_answered(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            self._among.waits(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()

    def _expect(self, seconds: float) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self.loop.call_later(seconds, self._is_late)

    def _is_late(self) -> None:
        if self._in_head and 0 < self._head_left < self._limits.header_bytes:
            self._refuse(408)
        else:
            self.transport.abort()

    def _watch_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._writing = self.loop.call_later(self._seconds, self._is_read)

    def _is_read(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._watch_reader()
        else:
            self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answers with an error and closes; only closes if another request is in progress."""
        if self.cycle is None or self.cycle.response_complete:
            head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
            self.transport.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.transport.close()
