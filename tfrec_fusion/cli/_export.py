"""`tfrec-fusion export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.errors import InputError


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that train wrote.")],
    to: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of versions, e.g. saved_models/shop.")
    ],
    kit: Annotated[
        bool | None,
        typer.Option(
            "--kit/--no-kit",
            help="Warm-up requests in the version and the server's configs and manifests beside "
            "the models. Unless given: where the extra serving is installed.",
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write each signature as an ONNX model there; takes an extra."
        ),
    ] = None,
    refresh_trend: Annotated[
        bool,
        typer.Option(
            "--refresh-trend",
            help="Take trends and histories from --interactions, which has all events up to now.",
        ),
    ] = False,
    interactions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Parquet file or folder, or CSV; for --refresh-trend."),
    ] = None,
    json: Json = None,
) -> None:
    """Write the next version of a SavedModel that TF Serving can load."""
    if refresh_trend != (interactions is not None):
        raise InputError("export: --refresh-trend and --interactions FILE go together")
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion import serving
    from tfrec_fusion.training import Run

    trained = Run.open(run)
    options = {
        "metrics": trained.metrics().get("evaluation") if trained.done else None,
        "config": trained.config.model_dump(mode="json"),
        "kit": kit,
    }
    if refresh_trend:
        version = serving.refresh(trained.model(), trained.events(interactions), to, **options)
    else:
        version = serving.export(trained.model(), trained.split.train, to, **options)
    output.print(f"exported: {version}")
    result = {"run": str(run), "export": str(version)}
    if onnx is not None:
        left_out = serving.export_onnx(version, onnx)
        output.print(f"ONNX: {onnx}")
        for signature, reason in left_out.items():
            output.print(f"  without {signature}: {reason}")
        result |= {"onnx": str(onnx), "onnx_left_out": left_out}
    output.write(result)
