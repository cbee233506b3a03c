"""HTTP on a socket, from its start to its end."""

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
    """Serves an ASGI application within bounds; leaves signals to others.

    Args:
      app: the application.
      connections: bounds of them.
      seconds: for a body and for reading an answer.
      grace_seconds: what requests get at the end.
      tls: files of the certificate chain and of its private key, in PEM.
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
        # uvicorn calls it as it calls a class.
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
        """Serves from now on, until `should_exit` is set.

        Returns:
          The task that serves.

        Raises:
          InputError: it cannot, e.g. as a certificate is wrong.
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
