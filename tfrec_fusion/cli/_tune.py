"""`tfrec-fusion tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

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
from tfrec_fusion.cli._train import check_tables, given_values


def tune(
    out: Annotated[
        Path, typer.Option(metavar="STUDY", help="Study folder; a study that is there goes on.")
    ],
    interactions: InteractionsTable = None,
    items: ItemsTable = None,
    users: UsersTable = None,
    vectors: Vectors = None,
    user_vectors: UserVectors = None,
    event_vectors: EventVectors = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Kind of model, as for train.  [default: two_tower]"),
    ] = None,
    split: SplitKind = None,
    config: ConfigFile = None,
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
    seed: Seed = None,
    search_seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    epochs: Epochs = None,
    min_rating: MinRating = None,
    stray_times: StrayTimes = None,
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
    how |= vector_stores(vectors, user_vectors, event_vectors)
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
