"""Command-line options that set how tables are read."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from tfrec_fusion.errors import InputError

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
