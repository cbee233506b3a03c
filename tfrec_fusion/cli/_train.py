"""`tfrec-fusion train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.cli._reading import (
    Columns,
    ConfigFile,
    Epochs,
    EventVectors,
    InteractionsTable,
    ItemColumns,
    ItemsTable,
    Lists,
    MinRating,
    Seed,
    SplitKind,
    StrayTimes,
    TimestampUnit,
    UsersTable,
    UserVectors,
    Vectors,
    reading,
    vector_stores,
)
from tfrec_fusion.errors import InputError


def train(
    out: Annotated[
        Path, typer.Option(metavar="RUN", help="Run folder; a run that is there is resumed.")
    ],
    interactions: InteractionsTable = None,
    items: ItemsTable = None,
    users: UsersTable = None,
    vectors: Vectors = None,
    user_vectors: UserVectors = None,
    event_vectors: EventVectors = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="two_tower, ranker, or a classic model: ease, sparse_ease, item_knn, user_knn, "
            "rp3beta, ials, light_gcn, spectral, popularity, recent_popularity, text_mean, "
            "personal_frequency; auto, which validation chooses; blend, by its --config; or "
            "module:Class of your own ClassicModel.  [default: two_tower]",
        ),
    ] = None,
    split: SplitKind = None,
    config: ConfigFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    time_budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time to prepare and train, e.g. 90s, 20m or 1h30m: each epoch has as many "
            "examples as fit.",
        ),
    ] = None,
    min_rating: MinRating = None,
    stray_times: StrayTimes = None,
    from_run: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the model and weights of this run; without --config also from its "
            "config.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove the existing run and train anew.")
    ] = False,
    columns: Columns = None,
    item_columns: ItemColumns = None,
    lists: Lists = None,
    timestamp_unit: TimestampUnit = None,
    json: Json = None,
) -> None:
    """Train a model in a run folder. The same command resumes after a kill, and with more --epochs
    extends a finished run.
    """
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion.training import ProgressBar, Run

    how = reading(columns, item_columns, lists, timestamp_unit) | {"stray_times": stray_times}
    how |= vector_stores(vectors, user_vectors, event_vectors)
    given = given_values(interactions, items, users, model, split, seed, epochs, min_rating, how)
    if time_budget is not None:
        given["time_budget"] = time_budget
    run = Run.start(out, _config(out, config, given, from_run, overwrite), overwrite=overwrite)
    trains = not run.done
    if not trains and not run.config.by_gradient:
        output.print(
            f"{out} is already done, so nothing was fitted; pass --overwrite to start anew, or "
            "another --out to keep both runs"
        )
    elif not trains:
        output.print(
            f"{out} is already done with its {run.config.epochs} epochs, so nothing was trained; "
            "pass a larger --epochs to continue, --overwrite to start anew, or another --out to "
            "keep both runs"
        )
    elif run.epochs_done:
        output.print(f"resuming after epoch {run.epochs_done} of {run.config.epochs}")
    if run.extended is not None:
        output.print(_schedule(run))
    result = run.train([ProgressBar(output.console)])
    for line in _summary(result):
        output.print(line)
    output.print(f"run: {out}")
    if run.logs.is_dir():
        output.print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(run.logs))}")
    output.write({"run": str(out), "trained": trains, **result})


def _schedule(run) -> str:
    """Says which learning rate an extended run continues with."""
    if run.config.optimizer is not None:
        return "the optimizer continues with its own learning rate"
    return (
        f"the learning rate follows the schedule of {run.config.epochs} epochs, so it is higher "
        f"than at the end of {run.extended}; the result differs slightly from an uninterrupted run"
    )


def _summary(result: dict) -> list[str]:
    from tfrec_fusion.evaluation.report import few_users

    evaluation = result.get("evaluation", {})
    slices = evaluation.get("slices", {})
    lines = []
    for label in ("total", "warm", "cold"):
        metrics = slices.get(label, {}).get("metrics", {})
        if metrics.get("gauc") is not None:
            # A ranker of another label than the events' own has no probability of it.
            shown = {"GAUC": "gauc", "log loss": "log_loss", "ECE": "ece"}
            known = [(title, metrics.get(name)) for title, name in shown.items()]
            texts = [f"{title} {value:.4f}" for title, value in known if value is not None]
            lines.append(f"{label}: {', '.join(texts)}")
        elif metrics.get("recall@20") is not None:
            lines.append(
                f"{label}: NDCG@10 {metrics['ndcg@10']:.4f}, Recall@20 {metrics['recall@20']:.4f}"
            )
    warning = few_users(slices["total"]["users"]) if slices else None
    return [*lines, warning] if warning else lines


def _config(
    out: Path, path: Path | None, given: dict[str, Any], from_run: Path | None, overwrite: bool
):
    """The config from the given options over the config file, or the existing run's config.

    Without either, the config of the run to start from. If an existing run is overwritten with
    other tables, its config is ignored.
    """
    from tfrec_fusion.training.config import RunConfig
    from tfrec_fusion.training.config_files import merged, read_mapping

    there = out / "config.yaml"
    other_tables = overwrite and {"interactions", "items"} <= given.get("data", {}).keys()
    if path is None and there.is_file() and not other_tables:
        path = there
    values = {} if path is None else read_mapping(path)
    if path is None and from_run is not None and (from_run / "config.yaml").is_file():
        values = read_mapping(from_run / "config.yaml")
        values["model"] = {"kind": values["model"]["kind"]}
        values.pop("recorded", None)
    if overwrite:
        # The inputs may have changed since the old run.
        values.pop("recorded", None)
    if from_run is not None:
        given = {**given, "from_run": str(from_run.absolute())}
    values = merged(values, given)
    check_tables(values, "train")
    return RunConfig.of(values, "train" if path is None else str(path))


def check_tables(values: dict[str, Any], command: str) -> None:
    """Raises InputError if a config's values name no tables."""
    data = values.get("data")
    if not isinstance(data, dict) or "interactions" not in data or "items" not in data:
        raise InputError(
            f"{command}: the tables are missing; pass --interactions and --items, or a --config "
            "with data.interactions and data.items"
        )


def given_values(
    interactions, items, users, model, split, seed, epochs, min_rating, how
) -> dict[str, Any]:
    """Returns the keys of a run's config that the options set."""
    from tfrec_fusion.training.config_files import with_absolute_paths

    data = {
        "interactions": None if interactions is None else str(interactions),
        "items": None if items is None else str(items),
        "users": None if users is None else str(users),
        "min_rating": min_rating,
        **how,
    }
    data = {key: value for key, value in data.items() if value is not None}
    given: dict[str, Any] = {"data": with_absolute_paths(data, Path.cwd())} if data else {}
    if model is not None:
        given["model"] = {"kind": model}
    if split is not None:
        given["split"] = {"kind": split}
    given |= {k: v for k, v in (("seed", seed), ("epochs", epochs)) if v is not None}
    return given
