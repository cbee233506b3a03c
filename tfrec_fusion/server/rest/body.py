"""Reads request bodies within limits of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.server.limits import Limits

_GZIP = 16 + zlib.MAX_WBITS


class DisconnectedError(Exception):
    """The client disconnected before its request was complete."""


async def read_body(
    receive: Callable[[], Awaitable[Mapping]], headers: Mapping[bytes, bytes], limits: Limits
) -> bytes:
    """Reads a whole request body, and decompresses gzip.

    Args:
      receive: `receive` of an ASGI application.
      headers: headers of the request, with names in lower case.
      limits: limits of size, also after decompression, and of time.

    Raises:
      StatusError: RESOURCE_EXHAUSTED as HTTP 413 for a large body, DEADLINE_EXCEEDED as 408 for a
        slow one, INVALID_ARGUMENT for corrupt gzip.
      DisconnectedError: the client disconnected.
    """
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(limits.seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                parts.append(part)
    except TimeoutError:
        raise StatusError(
            "DEADLINE_EXCEEDED", f"the body did not arrive within {limits.seconds:g} s", 408
        ) from None
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if b"gzip" in headers.get(b"content-encoding", b""):
        return _unpacked(body, limits)
    return body


def _unpacked(body: bytes, limits: Limits) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        found = unpacker.decompress(body, limits.body_bytes + 1)
    except zlib.error as error:
        raise invalid(f"the body is not gzip: {error}") from None
    if len(found) > limits.body_bytes:
        raise _too_large(limits)
    if not unpacker.eof:
        raise invalid("the body is not gzip: it ends too early")
    return found


def _too_large(limits: Limits) -> StatusError:
    return StatusError(
        "RESOURCE_EXHAUSTED", f"the body may have at most {limits.body_bytes} bytes", 413
    )
