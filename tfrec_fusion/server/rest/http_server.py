"""Runs the HTTP server (uvicorn) on a socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from tfrec_fusion.errors import InputError
from tfrec_fusion.server.rest.body_budget import BodyBudget
from tfrec_fusion.server.rest.bounded_http import BoundedHttp
from tfrec_fusion.server.rest.connections import ConnectionLimits, Connections


class HttpServer(uvicorn.Server):
    """uvicorn server with connection limits and without signal handlers of its own.

    Args:
      app: the ASGI application.
      connections: limits of connections.
      seconds: time to send a body, and longest time without progress in reading an answer.
      grace_seconds: time for running requests to end at shutdown.
      tls: PEM files of the certificate chain and its private key.
    """

    def __init__(
        self,
        app,
        connections: ConnectionLimits,
        seconds: float,
        grace_seconds: float,
        tls: tuple[Path, Path] | None = None,
    ):
        chain, private = tls or (None, None)
        # uvicorn calls this like a protocol class.
        protocol: Any = partial(BoundedHttp, Connections(connections), seconds)
        super().__init__(
            uvicorn.Config(
                BodyBudget(app, connections.body_bytes),
                http=protocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(grace_seconds)),
                ws="none",
                ssl_certfile=chain,
                ssl_keyfile=private,
            )
        )
        self._up = asyncio.Event()

    async def start(self, listening: socket.socket) -> asyncio.Task:
        """Starts serving, until `should_exit` is set.

        Args:
          listening: bound socket.

        Returns:
          The task that serves.

        Raises:
          InputError: the server did not start, e.g. due to a wrong certificate.
        """
        serving = asyncio.create_task(self.serve([listening]))
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait([up, serving], return_when="FIRST_COMPLETED")
        up.cancel()
        if serving.done():
            error = serving.exception()
            raise InputError(f"serve: REST did not start: {error or 'it ended at once'}") from None
        return serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
