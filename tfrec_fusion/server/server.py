"""Runs the REST and gRPC interfaces of the embedded server in one process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from starlette.routing import BaseRoute

from tfrec_fusion.errors import InputError
from tfrec_fusion.server.api_key import ApiKey, KeyedApp, KeyedCalls
from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.server.feedback.feedback_log import FeedbackLog
from tfrec_fusion.server.feedback.route import feedback_route
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.metrics import Metrics
from tfrec_fusion.server.model_config import ModelConfig
from tfrec_fusion.server.model_manager import ModelManager
from tfrec_fusion.server.origins import GuardedApp, Hosts
from tfrec_fusion.server.predictor import Predictor
from tfrec_fusion.server.rest.app import create_app
from tfrec_fusion.server.rest.connections import ConnectionLimits
from tfrec_fusion.server.rest.http_server import HttpServer
from tfrec_fusion.server.rpc.services import add_services


class Server:
    """Serves models with TF Serving's REST and gRPC interfaces until it is stopped.

    Args:
      models: the models to serve.
      config_file: file that `models` come from; read again when it changes.
      host: address to listen on.
      rest_port, grpc_port: ports; 0 picks a free one.
      batching: merge waiting requests with these parameters; None runs each alone.
      limits: limits of requests.
      poll_seconds: time between two polls for new versions.
      grace_seconds: time for running requests to end when the server stops.
      threads: maximum concurrent model runs without batching. A version that merges requests by
        itself needs a thread for each request it merges. None means 2 per core, at least 32.
      log: receives events.
      routes: builds additional HTTP routes from the predictor, e.g. those of the page.
      key: API key that every request must carry.
      tls: PEM files of the certificate chain and its private key.
      feedback: folder for events sent to `POST /feedback`; without one the path does not exist.
      any_time: also accept feedback with times before 1990 or more than a day ahead.
      allowed_hosts: additional host names for REST, see `Hosts`.
      connections: limits of HTTP connections; derived from `limits` by default.

    Raises:
      InputError: no version of a model can be loaded, a port is in use, or another server uses the
        feedback folder.

    Example:
      >>> server = Server([ModelConfig("shop", Path("saved_models/shop"))])
      >>> server.run()  # until it is stopped  # doctest: +SKIP
    """

    def __init__(
        self,
        models: Sequence[ModelConfig],
        config_file: Path | None = None,
        host: str = "127.0.0.1",
        rest_port: int = 8501,
        grpc_port: int = 8500,
        batching: BatchingParameters | None = None,
        limits: Limits | None = None,
        poll_seconds: float = 1.0,
        grace_seconds: float = 10.0,
        threads: int | None = None,
        log: Log | None = None,
        routes: Callable[[Predictor], Sequence[BaseRoute]] = lambda predictor: (),
        key: ApiKey | None = None,
        tls: tuple[Path, Path] | None = None,
        feedback: Path | None = None,
        any_time: bool = False,
        allowed_hosts: Sequence[str] = (),
        connections: ConnectionLimits | None = None,
    ):
        hosts = Hosts(host, allowed_hosts)
        self._host, self._ports = host, (rest_port, grpc_port)
        self._grace = grace_seconds
        self._threads = threads or max(32, 2 * (os.cpu_count() or 1))
        self._log = log or Log()
        limits = limits or Limits()
        self.manager = ModelManager(models, config_file, poll_seconds, self._log)
        self.predictor = Predictor(
            self.manager,
            limits,
            Metrics(),
            self._log,
            batching,
            self._threads,
        )
        self._key, self._tls, self._feedback = key, tls, None
        further = list(routes(self.predictor))
        if feedback is not None:
            self._feedback = FeedbackLog(feedback, log=self._log)
            further.insert(0, feedback_route(self._feedback, limits, any_time))
        app = create_app(self.predictor, self._log, further)
        self._app = GuardedApp(app if key is None else KeyedApp(app, key), app, hosts)
        self._connections = connections or ConnectionLimits.of(limits)

    def run(self, ready: Callable[[str, str], None] = lambda rest, rpc: None) -> None:
        """Loads the models, serves, and returns after SIGTERM or SIGINT.

        With feedback, SIGHUP writes the events received so far to a Parquet file.

        Args:
          ready: called with the addresses of REST and gRPC once the server answers requests.

        Raises:
          InputError: REST or gRPC does not start, or REST ends unexpectedly.
        """
        try:
            self.manager.start()
            asyncio.run(self._serve(ready))
        finally:
            self.manager.stop()
            if self._feedback is not None:
                self._feedback.close()

    async def _serve(self, ready: Callable[[str, str], None]) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        listening = _listen(self._host, self._ports[0])
        seconds = self.predictor.limits.seconds
        rest = HttpServer(self._app, self._connections, seconds, self._grace, self._tls)
        rpc, rpc_port = self._rpc()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if self._feedback is not None:
            loop.add_signal_handler(signal.SIGHUP, self._feedback.rotate)
        serving = await rest.start(listening)
        rpc.start()
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "http" if self._tls is None else "https"
        ready(f"{scheme}://{host}:{listening.getsockname()[1]}", f"{host}:{rpc_port}")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, serving], return_when="FIRST_COMPLETED")
        self._log("stopping", in_flight=self.predictor.in_flight)
        rest.should_exit = True
        await asyncio.gather(serving, asyncio.to_thread(rpc.stop(self._grace).wait))
        self._log("stopped", in_flight=self.predictor.in_flight)
        await asyncio.to_thread(self.predictor.close)
        if not stop.is_set():
            raise InputError("serve: the REST server ended unexpectedly")

    def _rpc(self) -> tuple[grpc.Server, int]:
        limits = self.predictor.limits
        # With batching, each request blocks a thread while it waits for its batch.
        threads = limits.in_flight if self.predictor.batches else self._threads
        server = grpc.server(
            ThreadPoolExecutor(threads, "grpc"),
            interceptors=[] if self._key is None else [KeyedCalls(self._key)],
            maximum_concurrent_rpcs=limits.in_flight,
            options=[
                ("grpc.max_receive_message_length", limits.body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
        )
        add_services(server, self.predictor, self._log)
        address = f"{self._host}:{self._ports[1]}"
        try:
            if self._tls is None:
                return server, server.add_insecure_port(address)
            chain, private = (path.read_bytes() for path in self._tls)
            credentials = grpc.ssl_server_credentials([(private, chain)])
            return server, server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise InputError(f"serve: gRPC cannot listen on {address}: {error}") from None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm, which costs 40 ms, only if the protocol is named.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise InputError(f"serve: REST cannot listen on {host}:{port}: {error}") from None
    return listening
