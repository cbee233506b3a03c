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
            help="Folder of the version that answered the requests; of a folder of versions, the "
            "highest.",
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
        typer.Option(
            metavar="TIME",
            help="Skip earlier requests: a time in UTC (2026-11-22T08:00) or an age (24h).",
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Threshold of a figure: the alert (score_psi=0.3), or warning and alert "
            "(score_psi=0.1:0.3). May be repeated.",
        ),
    ] = None,
    min_rows: Annotated[
        int, typer.Option(help="Apply no thresholds to figures of fewer requests than this.")
    ] = 500,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the report as text.")
    ] = None,
    logdir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the figures for TensorBoard.")
    ] = None,
    json: Json = None,
) -> int:
    """Compare logged requests with the training data; exits with 3 if a figure alerts."""
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
    """Unix seconds of an age ("24h" means 24 hours ago) or an ISO 8601 time (UTC by default)."""
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
