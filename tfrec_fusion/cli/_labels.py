"""`tfrec-fusion labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow


def labels(
    model: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of model versions, e.g. saved_models/shop."),
    ],
    stable: Annotated[int, typer.Option(help="Version to label stable.")],
    canary: Annotated[
        int | None, typer.Option(help="Version to label canary.  [default: none]")
    ] = None,
    json: Json = None,
) -> None:
    """Set which versions of an exported model TF Serving loads as stable and canary."""
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion.deploy import label_versions

    label_versions(model, stable=stable, canary=canary)
    found = {"stable": stable} | ({} if canary is None else {"canary": canary})
    output.print(f"{model}: " + ", ".join(f"{label} is {of}" for label, of in found.items()))
    output.write({"model": str(model), "labels": found})
