"""`tfrec-fusion export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow, without_notes
from tfrec_fusion.cli._reading import named_vectors
from tfrec_fusion.errors import InputError


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, written by train.")],
    to: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of model versions, e.g. saved_models/shop."),
    ],
    deployment: Annotated[
        bool | None,
        typer.Option(
            "--deployment/--no-deployment",
            help="Write warm-up requests into the version, and server configs and manifests next "
            "to the models.  [default: yes if the extra serving is installed]",
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write each signature as an ONNX model; needs the extra onnx."
        ),
    ] = None,
    litert: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write a ranker's scoring model for LiteRT."),
    ] = None,
    refresh_trend: Annotated[
        bool,
        typer.Option(
            "--refresh-trend",
            help="Compute trends and histories from --interactions, the file of all events up to "
            "now.",
        ),
    ] = False,
    interactions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Parquet file or folder, or CSV; for --refresh-trend."),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Another table of users than the run's, e.g. with new users or attributes.",
        ),
    ] = None,
    user_vectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="With --users: other vectors of users than the run's; a store has ids, so that "
            "the run's own may fit too.",
        ),
    ] = None,
    event_vectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="With --interactions: other vectors of events than the run's.",
        ),
    ] = None,
    any_time: Annotated[
        bool,
        typer.Option(
            "--any-time",
            help="Accept a version time before 1990, in the future or, with --refresh-trend, "
            "before that of the latest version (e.g. because the latest one was wrong).",
        ),
    ] = False,
    stray_times: Annotated[
        Literal["error", "drop", "keep"] | None,
        typer.Option(
            help="How to treat events of --interactions with times after today, at 0, or far from "
            "all others.  [default: as in training]",
        ),
    ] = None,
    train_only: Annotated[
        bool,
        typer.Option(
            "--train-only",
            help="Serve only the training events, as in the evaluation, without the test events.",
        ),
    ] = False,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Whether to take filters, rules, explain and precision from the latest version "
            "where no option sets them.",
        ),
    ] = True,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16", "int8"] | None,
        typer.Option(
            help="Precision of item vectors, embedding tables and histories; a report compares it "
            "with float32.  [default: that of the latest version, or float32]"
        ),
    ] = None,
    min_overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Smallest allowed overlap with the top 10 of float32.  [default: 0.95]",
        ),
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Largest allowed loss of NDCG@10.  [default: 0.02]"),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="COLUMN",
            help="Item column that requests may filter by. May be repeated.",
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML or JSON with boosts, blocks, pins and caps."),
    ] = None,
    explain: Annotated[
        bool | None,
        typer.Option(
            "--explain/--no-explain",
            help="Also store the item vectors per source (ids, text, context), which explain the "
            "scores of a two-tower. With one text vector the items take three times the space.  "
            "[default: as in the latest version, or no]",
            show_default=False,
        ),
    ] = None,
    similar: Annotated[
        str | None,
        typer.Option(
            metavar="auto|NAME|none",
            help="What the signature similar compares items by: the model's own vectors or "
            "weights, vectors by their name, e.g. text, or none for no such signature.  [default: "
            "as in the latest version, or auto]",
            show_default=False,
        ),
    ] = None,
    audience: Annotated[
        bool | None,
        typer.Option(
            "--audience/--no-audience",
            help="Also store the vectors of all users, for the signature audience: the users to "
            "whom an item should be shown.  [default: as in the latest version, or no]",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN,COLUMN|none",
            help="Item columns whose texts the signature search finds, e.g. title,brand, or none "
            "for no such signature.  [default: as in the latest version, or none]",
            show_default=False,
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Parquet or CSV with the run's item ids. Filters, rules and titles read its "
            "columns instead of those of the run's items.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Export a run as the next version of a SavedModel for TF Serving."""
    if refresh_trend != (interactions is not None):
        raise InputError("export: pass both --refresh-trend and --interactions FILE, or neither")
    if user_vectors and users is None:
        raise InputError("export: --user-vectors needs --users, the table of these users")
    if event_vectors and not refresh_trend:
        raise InputError("export: --event-vectors needs --interactions, the file of these events")
    if users is not None and train_only:
        raise InputError("export: --train-only cannot be combined with --users; leave one out")
    if refresh_trend and train_only:
        raise InputError(
            "export: --train-only cannot be combined with --refresh-trend; leave one out"
        )
    if stray_times is not None and not refresh_trend:
        raise InputError(
            "export: --stray-times needs --interactions; the events of the run itself are read as "
            "in training"
        )
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion import export as exports
    from tfrec_fusion.training import Run

    trained = Run.open(run)
    nothing = {"filters": (), "rules": {}, "rerank": (), "explain": False, "precision": "float32"}
    nothing |= {"similar": "auto", "audience": False, "search": False}
    options = {} if keep else nothing
    options |= {
        "metrics": trained.metrics().get("evaluation") if trained.done else None,
        "config": trained.config.model_dump(mode="json"),
        "deployment": deployment,
        "rerank": trained.config.rerank or options.get("rerank"),
        **_business(trained, filters, rules, items),
    }
    given = {"overlap_10": min_overlap, "ndcg_loss": max_loss}
    limits = {name: value for name, value in given.items() if value is not None}
    options["limits"] = exports.ParityLimits(**limits) if limits else None
    if any_time:
        options["any_time"] = True
    if precision is not None:
        options["precision"] = precision
    given = {"explain": explain, "similar": similar, "audience": audience}
    if search is not None:
        texts = [name.strip() for name in search.split(",")]
        given["search"] = False if search == "none" else {"texts": texts}
    options |= {name: value for name, value in given.items() if value is not None}
    of_users: dict[str, Any] = {} if users is None else {"users": str(users.absolute())}
    if user_vectors:
        named = named_vectors(user_vectors, "--user-vectors")
        of_users["user_vectors"] = {k: str(Path(v).absolute()) for k, v in named.items()}
    if event_vectors:
        named = named_vectors(event_vectors, "--event-vectors")
        of_users["event_vectors"] = {k: str(Path(v).absolute()) for k, v in named.items()}
    if refresh_trend:
        how = of_users | ({} if stray_times is None else {"stray_times": stray_times})
        events = trained.events(interactions, **how)
        version = exports.refresh(trained.model(), events, to, **options)
    else:
        model, options["held_out"] = trained.model(), trained.split
        events = served_events(trained, model, train_only, **of_users)
        version = exports.export(model, events, to, **options)
    output.print(f"exported: {version}")
    result: dict[str, Any] = {"run": str(run), "export": str(version)}
    if (version / exports.REPORT).is_file():
        report = exports.ParityReport.load(version / exports.REPORT)
        output.print(_table(report))
        result["parity"] = report.to_dict()
    if onnx is not None:
        left_out = exports.export_onnx(version, onnx)
        output.print(f"ONNX: {onnx}")
        for signature, reason in left_out.items():
            output.print(f"  without {signature}: {reason}")
        result |= {"onnx": str(onnx), "onnx_left_out": left_out}
    if litert is not None:
        with without_notes():
            result["litert"] = str(exports.export_litert(version, litert))
        output.print(f"LiteRT: {result['litert']}")
    output.write(result)


def served_events(run, model, train_only: bool, **options):
    """Returns the events that an export of the run serves: all, or only the training events.

    Args:
      run: the run.
      model: its model.
      train_only: whether only the training events are served.
      **options: keys of the config's `data` that replace those of the run.
    """
    from tfrec_fusion.export.known_users import with_known_users

    if train_only:
        return run.split.train
    return with_known_users(model, run.events(**options), lambda: run.split.train.users)


def _business(
    trained, filters: list[str] | None, rules: Path | None, items: Path | None
) -> dict[str, Any]:
    """Returns the options that are set; an export keeps the others of the previous version."""
    given: dict[str, Any] = {"filters": filters, "rules": rules}
    if items is not None:
        given["items"] = trained.items(items)
    return {name: value for name, value in given.items() if value is not None}


def _table(report):
    from rich.table import Table

    table = Table("", "float32", report.precision, title=f"{report.users} users")
    for row in report.rows():
        table.add_row(*row)
    return table
