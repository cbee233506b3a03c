"""Which connections there may be at once, and which gives way to a new one."""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass

from tfrec_fusion.errors import InputError
from tfrec_fusion.server.limits import Limits

_A_REQUEST = 4
# Files of models, of the log and of gRPC.
_OTHER_FILES = 256
_LEAST = 16


@dataclass(frozen=True)
class ConnectionLimits:
    """Bounds of HTTP connections, and of what is held of requests that are not whole yet.

    Attributes:
      connections: at once; of one address half of them.
      header_bytes: of a request line and headers; beyond it 431.
      header_seconds: until they are there, from a connection's or its next request's start.
      body_bytes: of all requests that are being read or answered; beyond it 503.

    Raises:
      InputError: a bound below 1.
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
        """Defaults that suit the requests' limits and the files that the process may open."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(cls.connections, _A_REQUEST * limits.in_flight)
        if files != resource.RLIM_INFINITY:
            most = min(most, max(_LEAST, files - _OTHER_FILES))
        body_bytes = max(cls.body_bytes, 2 * limits.body_bytes)
        return cls(**{"connections": most, "body_bytes": body_bytes} | given)


class Connections:
    """The connections of a server.

    One that is not being answered waits: for its next request, or for the rest of one. At a bound
    the one that has waited longest is closed for a new one; where none waits the new one is
    refused.
    """

    def __init__(self, limits: ConnectionLimits):
        self.limits = limits
        self._addresses: dict = {}  # connection -> address
        self._counts: Counter[str] = Counter()
        self._waiting: dict = {}  # the keys are in the order of their waiting

    def enter(self, connection, address: str) -> bool:
        """Takes a new connection in; False where there is no room."""
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
        """Forgets a connection that is gone."""
        self._waiting.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def waits(self, connection) -> None:
        """The connection is not being answered from now on."""
        if connection in self._addresses:
            self._waiting.setdefault(connection)

    def is_answered(self, connection) -> None:
        """The connection has a whole request."""
        self._waiting.pop(connection, None)

    def _make_room(self, address: str | None) -> bool:
        for connection in self._waiting:
            if address in (None, self._addresses[connection]):
                self.leave(connection)
                connection.transport.abort()
                return True
        return False
