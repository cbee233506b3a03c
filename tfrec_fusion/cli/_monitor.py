"""`tfrec-fusion monitor`."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

ALERT = 3
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def monitor(
    version: Annotated[
        Path,
        typer.Argument(
            metavar="VERSION",
            help="The folder of the version that answered, or of its versions: the highest.",
        ),
    ],
    requests: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Logged requests: .parquet, .jsonl, a TFRecord file of TF Serving's "
            "PredictionLog, or a folder of them. May be repeated.",
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Earlier requests are left out: 2026-11-22T08:00, 24h."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="When a figure alerts, or warns and alerts: score_psi=0.3, score_psi=0.1:0.3. "
            "May be repeated.",
        ),
    ] = None,
    min_rows: Annotated[
        int, typer.Option(help="Figures of fewer requests are shown and not judged.")
    ] = 500,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as text.")
    ] = None,
    logdir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the figures for TensorBoard.")
    ] = None,
    json: Json = None,
) -> int:
    """Compare logged requests with the training data; ends with 3 where a figure alerts."""
    output = Output(json)
    if logdir is not None:
        local_path(logdir, "logdir", tensorflow=True)
    from tfrec_fusion.export.versions import latest_version
    from tfrec_fusion.files import new_file
    from tfrec_fusion.monitoring import Limits, compare, read_requests

    report = compare(
        latest_version(version),
        read_requests(requests, None if since is None else _time(since)),
        Limits.parse(limit or []),
        min_rows,
    )
    output.print(report)
    if out is not None:
        with new_file(out) as file:
            file.write(report.text().encode())
        output.print(f"report: {out}")
    if logdir is not None:
        from tfrec_fusion.cli._quiet import start_tensorflow

        start_tensorflow()
        from tfrec_fusion.monitoring import write_summaries

        write_summaries(report, logdir)
        output.print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(logdir))}")
    output.write(report.to_dict())
    return ALERT if report.state == "alert" else 0


def _time(text: str) -> float:
    """Unix seconds of "24h" before now, or of a time in ISO 8601, UTC unless it has a zone."""
    import pandas as pd

    ago = re.fullmatch(r"(\d+)([mhd])", text)
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        stamp = pd.Timestamp(text)
        if stamp is pd.NaT:
            raise ValueError
    except ValueError:
        raise InputError(
            "--since: must be a time like 2026-11-22T08:00, or how long ago, like 30m, 24h or 7d. "
            f"Received: {text}"
        ) from None
    return (stamp if stamp.tz else stamp.tz_localize("UTC")).timestamp()
