"""`tfrec-fusion tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.cli._reading import (
    Columns,
    ItemColumns,
    Lists,
    TimestampUnit,
    named_vectors,
    reading,
)
from tfrec_fusion.cli._train import check_tables, given_values


def tune(
    out: Annotated[
        Path, typer.Option(metavar="STUDY", help="Study folder; a study that is there goes on.")
    ],
    interactions: Annotated[
        Path | None, typer.Option(help="Parquet file or folder, or CSV: user_id, item_id, ...")
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="Parquet file or folder, or CSV: item_id, title, ...")
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="Parquet file or folder, or CSV, of users' attributes: user_id, ..."),
    ] = None,
    vectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="A vector store, or a .npy in the order of the items. Without a name it is "
            "called 'text'.",
        ),
    ] = None,
    user_vectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="The same of the users, for features of the kind vectors.",
        ),
    ] = None,
    event_vectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="The same of the interactions: a store whose ids are those of their column "
            "NAME_id, e.g. review=STORE and review_id.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Kind of model, as for train.  [default: two_tower]"),
    ] = None,
    split: Annotated[
        Literal["temporal", "leave_one_out", "random", "none"] | None,
        typer.Option(
            help="How to choose the test events, which tuning does not see.  [default: temporal]"
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON with keys of a run's config; options override it."),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML or JSON: key path of the config, e.g. model.l2 -> {low, high, log} or "
            "{choices}.  [default: one that suits the model]",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Trials of the study, earlier ones included.  [default: 20 without --time-budget]",
        ),
    ] = None,
    time_budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time that all trials may take, e.g. 90s, 20m or 1h30m, earlier ones included.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="ndcg, recall, hr, mrr or map with a cut-off, on validation.  [default: ndcg@10; "
            "a ranker has gauc]"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of initial weights, examples and dropout.")
    ] = None,
    search_seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="Number of passes over the training examples.")
    ] = None,
    min_rating: Annotated[
        float | None, typer.Option(help="Drop interactions with a lower rating.")
    ] = None,
    stray_times: Annotated[
        Literal["error", "drop", "keep"] | None,
        typer.Option(
            help="How to treat events with times after today, at 0, or far from all others.  "
            "[default: error]"
        ),
    ] = None,
    columns: Columns = None,
    item_columns: ItemColumns = None,
    lists: Lists = None,
    timestamp_unit: TimestampUnit = None,
    json: Json = None,
) -> None:
    """Search a model's options on validation events. The same command goes on after a kill, and
    with more --trials or --time-budget extends a finished study.
    """
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion.config import read_mapping as read_space
    from tfrec_fusion.training import RunConfig
    from tfrec_fusion.training import tune as tuned
    from tfrec_fusion.training.config_files import merged, read_mapping

    how = reading(columns, item_columns, lists, timestamp_unit) | {"stray_times": stray_times}
    how["vectors"] = named_vectors(vectors) if vectors else None
    how["user_vectors"] = named_vectors(user_vectors, "--user-vectors") if user_vectors else None
    how["event_vectors"] = (
        named_vectors(event_vectors, "--event-vectors") if event_vectors else None
    )
    given = given_values(interactions, items, users, model, split, seed, epochs, min_rating, how)
    values = merged({} if config is None else read_mapping(config), given)
    check_tables(values, "tune")
    result = tuned(
        RunConfig.of(values, "tune" if config is None else str(config)),
        out,
        space=None if space is None else read_space(space, "space"),
        trials=trials,
        time_budget=time_budget,
        metric=metric,
        seed=search_seed,
        progress=output.console,
    )
    output.print(result)
    best = shlex.quote(str(out / "best.yaml"))
    output.print(f"best: tfrec-fusion train --config {best} --out RUN")
    output.print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(out / 'logs'))}")
    output.write(result.to_dict())
