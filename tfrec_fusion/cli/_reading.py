"""Command-line options that set how tables are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from tfrec_fusion.errors import InputError

InteractionsTable = Annotated[
    Path | None, typer.Option(help="Parquet file or folder, or CSV: user_id, item_id, ...")
]
ItemsTable = Annotated[
    Path | None, typer.Option(help="Parquet file or folder, or CSV: item_id, title, ...")
]
UsersTable = Annotated[
    Path | None,
    typer.Option(help="Parquet file or folder, or CSV, of users' attributes: user_id, ..."),
]
Vectors = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]PATH",
        help="A vector store, or a .npy in the order of the items. Without a name it is "
        "called 'text'.",
    ),
]
UserVectors = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]PATH",
        help="The same of the users, for features of the kind vectors.",
    ),
]
EventVectors = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]PATH",
        help="The same of the interactions: a store whose ids are those of their column "
        "NAME_id, e.g. review=STORE and review_id.",
    ),
]
SplitKind = Annotated[
    Literal["temporal", "leave_one_out", "random", "given", "none"] | None,
    typer.Option(
        help="How to choose the test events; given takes a column 'split' of train, valid and "
        "test.  [default: temporal]"
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(help="YAML or JSON with keys of a run's config; options override it."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of initial weights, examples and dropout.")]
Epochs = Annotated[int | None, typer.Option(help="Number of passes over the training examples.")]
MinRating = Annotated[float | None, typer.Option(help="Drop interactions with a lower rating.")]
StrayTimes = Annotated[
    Literal["error", "drop", "keep"] | None,
    typer.Option(
        help="How to treat events with times after today, at 0, or far from all others.  "
        "[default: error]"
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=COLUMN,...",
        help="Columns of the interactions with other names, e.g. user_id=userId,item_id=movieId. "
        "item_id also applies to the items.",
    ),
]
ItemColumns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=COLUMN,...",
        help="Columns of the items with other names, e.g. item_id=id,title=name.",
    ),
]
Lists = Annotated[
    list[str] | None,
    typer.Option(
        "--list",
        metavar="COLUMN=SEPARATOR",
        help='Item column that holds several texts, and their separator: genres="|". May be '
        "repeated.",
    ),
]
TimestampUnit = Annotated[
    Literal["s", "ms", "us", "ns"] | None,
    typer.Option(help="Unit of a numeric column timestamp.  [default: s]"),
]


def reading(
    columns: str | None = None,
    item_columns: str | None = None,
    lists: list[str] | None = None,
    timestamp_unit: str | None = None,
) -> dict:
    """Returns the keys of a config's `data` section that the options set."""
    found = {
        "columns": _pairs(columns.split(","), "--columns") if columns else None,
        "item_columns": _pairs(item_columns.split(","), "--item-columns") if item_columns else None,
        "lists": _pairs(lists, "--list") if lists else None,
        "timestamp_unit": timestamp_unit,
    }
    return {key: value for key, value in found.items() if value is not None}


def vector_stores(
    vectors: list[str] | None, user_vectors: list[str] | None, event_vectors: list[str] | None
) -> dict[str, dict[str, str] | None]:
    """Returns the keys of a config's `data` section that name vectors; None for those not given."""
    given = {"vectors": vectors, "user_vectors": user_vectors, "event_vectors": event_vectors}
    return {
        key: named_vectors(values, f"--{key.replace('_', '-')}") if values else None
        for key, values in given.items()
    }


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name.strip() or not value:
            raise InputError(f"{option}: must be NAME=VALUE. Received: {text!r}")
        if name.strip() in pairs:
            raise InputError(f"{option}: {name.strip()!r} occurs twice. Received: {texts}")
        pairs[name.strip()] = value
    return pairs


def named_vectors(values: list[str], option: str = "--vectors") -> dict[str, str]:
    """Parses `NAME=PATH` or `PATH` (named "text") into a mapping name -> path."""
    named: dict[str, str] = {}
    for value in values:
        match = re.fullmatch(r"([A-Za-z_]\w*)=(.+)", value)
        name, path = match.groups() if match else ("text", value)
        if name in named:
            raise InputError(
                f"{option}: two have the name {name!r}; name them, e.g. {option} image={path}. "
                f"Received: {values}"
            )
        named[name] = path
    return named
