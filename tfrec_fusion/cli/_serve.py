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
        typer.Argument(metavar="DIR", help="Folder of versions, e.g. saved_models/shop."),
    ] = None,
    model_config_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TF Serving's models.config, for several.")
    ] = None,
    rest_port: Annotated[int, typer.Option(help="Port of REST; 0 takes a free one.")] = 8501,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC; 0 takes a free one.")] = 8500,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    batching_parameters_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Merge waiting requests as it says.")
    ] = None,
    file_system_poll_wait_seconds: Annotated[
        float, typer.Option(help="Time between two looks for new versions; 0 looks once.")
    ] = 1.0,
    max_body_mib: Annotated[float, typer.Option(help="Size of one request.")] = 16,
    max_list_length: Annotated[int, typer.Option(help="Values in a list of a request.")] = 10_000,
    max_k: Annotated[int, typer.Option(help="Largest k of a request.")] = 10_000,
    max_values: Annotated[
        int, typer.Option(help="Rows x k of an answer, and values of one input.")
    ] = 1_000_000,
    max_scores: Annotated[
        int, typer.Option(help="Rows x items of the catalogue that a request ranks.")
    ] = 200_000_000,
    max_requests: Annotated[int, typer.Option(help="Requests that are answered at once.")] = 256,
    timeout_seconds: Annotated[
        float, typer.Option(help="Deadline of a request that brings none.")
    ] = 30.0,
    grace_seconds: Annotated[
        float, typer.Option(help="What requests get to end after SIGTERM.")
    ] = 10.0,
    threads: Annotated[
        int | None, typer.Option(help="Requests in the model at once, without batching.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="A page at / to look at recommendations.")
    ] = True,
    feedback_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep what POST /feedback brings there.")
    ] = None,
    feedback_any_time: Annotated[
        bool,
        typer.Option(
            "--feedback-any-time",
            help="Also take feedback with times from before 1990 or from more than a day ahead.",
        ),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name under which REST may be asked, beside localhost, --host and IP addresses; "
            "* allows all. May be repeated.",
        ),
    ] = None,
    max_connections: Annotated[
        int | None,
        typer.Option(
            help="Connections of REST at once, half of them from one address.  [default: 1000, or "
            "4 a request; fewer where the process may open fewer files]",
            show_default=False,
        ),
    ] = None,
    header_timeout_seconds: Annotated[
        float, typer.Option(help="Time for the headers of a request.")
    ] = 10.0,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Its text must come with each request; or TFREC_FUSION_API_KEY."
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its private key, PEM.")
    ] = None,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Write a line for each request.")
    ] = False,
) -> None:
    """Answer as TF Serving does, over REST and gRPC, from the same folders."""
    if (model is None) == (model_config_file is None):
        raise InputError("serve: give either a folder of versions or --model-config-file")
    if model is not None and not local_path(model, "serve", tensorflow=True).is_dir():
        raise InputError(f"serve: no such folder; export a model there first. Received: {model}")
    if (tls_certificate is None) != (tls_key is None):
        raise InputError("serve: --tls-certificate and --tls-key go together")
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
