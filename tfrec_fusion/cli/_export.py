"""`tfrec-fusion export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that train wrote.")],
    to: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of versions, e.g. saved_models/shop.")
    ],
    json: Json = None,
) -> None:
    """Write the next version of a SavedModel that TF Serving can load."""
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion import serving
    from tfrec_fusion.training import Run

    trained = Run.open(run)
    version = serving.export(
        trained.model(),
        trained.split.train,
        to,
        metrics=trained.metrics().get("evaluation") if trained.done else None,
        config=trained.config.model_dump(mode="json"),
    )
    output.print(f"exported: {version}")
    output.write({"run": str(run), "export": str(version)})
