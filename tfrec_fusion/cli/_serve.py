"""`tfrec-fusion serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path


def serve(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Folder of model versions, e.g. saved_models/shop."),
    ] = None,
    model_config_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Models to serve, as in TF Serving's models.config."),
    ] = None,
    rest_port: Annotated[int, typer.Option(help="REST port; 0 picks a free one.")] = 8501,
    grpc_port: Annotated[int, typer.Option(help="gRPC port; 0 picks a free one.")] = 8500,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    batching_parameters_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Batch waiting requests with these TF Serving settings."),
    ] = None,
    file_system_poll_wait_seconds: Annotated[
        float, typer.Option(help="Time between checks for new versions; 0 checks only once.")
    ] = 1.0,
    max_body_mib: Annotated[float, typer.Option(help="Largest request body, in MiB.")] = 16,
    max_list_length: Annotated[
        int, typer.Option(help="Largest length of a list in a request.")
    ] = 10_000,
    max_k: Annotated[int, typer.Option(help="Largest k of a request.")] = 10_000,
    max_values: Annotated[
        int, typer.Option(help="Most values of one input, and most rows x k of a response.")
    ] = 1_000_000,
    max_scores: Annotated[
        int, typer.Option(help="Most scores per request: rows x items of the catalogue.")
    ] = 200_000_000,
    max_requests: Annotated[int, typer.Option(help="Most requests in flight.")] = 256,
    timeout_seconds: Annotated[
        float, typer.Option(help="Deadline of requests that set none.")
    ] = 30.0,
    grace_seconds: Annotated[
        float, typer.Option(help="Time for open requests to finish after SIGTERM.")
    ] = 10.0,
    threads: Annotated[
        int | None,
        typer.Option(help="Most requests that run in the model at once, without batching."),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="Serve a web page of recommendations at /.")
    ] = True,
    feedback_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Store the events of POST /feedback here.")
    ] = None,
    feedback_any_time: Annotated[
        bool,
        typer.Option(
            "--feedback-any-time",
            help="Also accept feedback times before 1990 or more than a day in the future.",
        ),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name that REST accepts besides localhost, --host and IP addresses; * "
            "accepts all. May be repeated.",
        ),
    ] = None,
    max_connections: Annotated[
        int | None,
        typer.Option(
            help="Most open REST connections, half of them per address.  [default: 1000, or 4 per "
            "request; fewer if the process may open fewer files]",
            show_default=False,
        ),
    ] = None,
    header_timeout_seconds: Annotated[
        float, typer.Option(help="Time a client has to send the headers of a request.")
    ] = 10.0,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API key that each request must carry; or set TFREC_FUSION_API_KEY.",
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TLS certificate chain, PEM.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of the certificate, PEM.")
    ] = None,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Log a line per request.")
    ] = False,
) -> None:
    """Serve exported models with TF Serving's REST and gRPC APIs."""
    if (model is None) == (model_config_file is None):
        raise InputError("serve: pass either a folder of versions or --model-config-file")
    if model is not None and not local_path(model, "serve", tensorflow=True).is_dir():
        raise InputError(f"serve: no such folder; export a model there first. Received: {model}")
    if (tls_certificate is None) != (tls_key is None):
        raise InputError("serve: pass both --tls-certificate and --tls-key, or neither")
    start_tensorflow()
    from tfrec_fusion._compat import optional

    for needed, extra in (("uvicorn", "server"), ("starlette", "server")):
        optional(needed, extra)
    optional("tensorflow_serving", "server")
    from tfrec_fusion.server.api_key import VARIABLE, ApiKey
    from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
    from tfrec_fusion.server.limits import Limits
    from tfrec_fusion.server.logs import Log
    from tfrec_fusion.server.model_config import ModelConfig, read_models
    from tfrec_fusion.server.page.routes import page_routes
    from tfrec_fusion.server.rest.connections import ConnectionLimits
    from tfrec_fusion.server.server import Server

    if model_config_file is not None:
        models = read_models(model_config_file)
    elif model is not None:
        models = [ModelConfig(model.absolute().name, model.absolute())]
    batching = None
    if batching_parameters_file is not None:
        batching = BatchingParameters.read(batching_parameters_file)
    key = os.environ.get(VARIABLE)
    if api_key_file is not None:
        key = api_key_file.read_text(encoding="utf-8").strip()
    limits = Limits(
        body_bytes=round(max_body_mib * 2**20),
        list_length=max_list_length,
        k=max_k,
        in_flight=max_requests,
        seconds=timeout_seconds,
        values=max_values,
        scores=max_scores,
    )
    connections = {"header_seconds": header_timeout_seconds}
    if max_connections is not None:
        connections["connections"] = max_connections
    server = Server(
        models,
        model_config_file,
        host,
        rest_port,
        grpc_port,
        batching,
        limits,
        file_system_poll_wait_seconds,
        grace_seconds,
        threads,
        Log(log_requests),
        page_routes if page else lambda predictor: (),
        None if key is None else ApiKey(key),
        None if tls_certificate is None or tls_key is None else (tls_certificate, tls_key),
        feedback_dir,
        feedback_any_time,
        allowed_host or (),
        ConnectionLimits.of(limits, **connections),
    )
    server.run(lambda rest, rpc: print(f"serving: REST at {rest}, gRPC at {rpc}", flush=True))
