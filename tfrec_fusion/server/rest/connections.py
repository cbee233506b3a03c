"""Limits HTTP connections, and closes idle ones to make room for new ones."""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass

from tfrec_fusion.errors import InputError
from tfrec_fusion.server.limits import Limits

_A_REQUEST = 4
# File descriptors left for models, logs and gRPC.
_OTHER_FILES = 256
_LEAST = 16


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of HTTP connections, headers and the memory of bodies.

    Attributes:
      connections: maximum open connections; at most half of them from one address.
      header_bytes: maximum size of request line and headers; beyond it 431.
      header_seconds: time to send them, from the start of the connection or the next request.
      body_bytes: maximum size of all bodies being read or answered; beyond it 503.

    Raises:
      InputError: a limit is not positive.
    """

    connections: int = 1000
    header_bytes: int = 32 << 10
    header_seconds: float = 10.0
    body_bytes: int = 256 << 20

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < (0.001 if name == "header_seconds" else 1):
                raise InputError(f"serve: {name} must be positive. Received: {value}")

    @classmethod
    def of(cls, limits: Limits, **given) -> ConnectionLimits:
        """Defaults derived from the request limits and the process's file descriptor limit."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(cls.connections, _A_REQUEST * limits.in_flight)
        if files != resource.RLIM_INFINITY:
            most = min(most, max(_LEAST, files - _OTHER_FILES))
        body_bytes = max(cls.body_bytes, 2 * limits.body_bytes)
        return cls(**{"connections": most, "body_bytes": body_bytes} | given)


class Connections:
    """The open connections of a server.

    A connection without a request in progress waits for its next request or the rest of one. At a
    limit, the connection that has waited longest is closed to make room for a new one. If none
    waits, the new one is refused.
    """

    def __init__(self, limits: ConnectionLimits):
        self.limits = limits
        self._addresses: dict = {}  # connection -> address
        self._counts: Counter[str] = Counter()
        self._waiting: dict = {}  # keys ordered by the start of their waiting

    def enter(self, connection, address: str) -> bool:
        """Registers a new connection; False if there is no room."""
        own = self._counts[address] >= max(1, self.limits.connections // 2)
        if (own or len(self._addresses) >= self.limits.connections) and not self._make_room(
            address if own else None
        ):
            return False
        self._addresses[connection] = address
        self._counts[address] += 1
        self.waits(connection)
        return True

    def leave(self, connection) -> None:
        """Removes a closed connection."""
        self._waiting.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def waits(self, connection) -> None:
        """Marks a connection as waiting for a request."""
        if connection in self._addresses:
            self._waiting.setdefault(connection)

    def is_answered(self, connection) -> None:
        """Marks a connection as having a complete request that is being answered."""
        self._waiting.pop(connection, None)

    def _make_room(self, address: str | None) -> bool:
        for connection in self._waiting:
            if address in (None, self._addresses[connection]):
                self.leave(connection)
                connection.transport.abort()
                return True
        return False
