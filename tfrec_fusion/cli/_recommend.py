"""`tfrec-fusion recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow


def recommend(
    export: Annotated[
        Path, typer.Argument(metavar="EXPORT", help="The folder that export wrote, or a version.")
    ],
    user: Annotated[str, typer.Option(metavar="ID", help="May be unknown.")],
    history: Annotated[
        str, typer.Option(metavar="ID,ID", help="Items of the user, the last one last.")
    ] = "",
    exclude: Annotated[
        str, typer.Option(metavar="ID,ID", help="Items that must not come back.")
    ] = "",
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    json: Json = None,
) -> None:
    """Recommend items to a user from an export."""
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion.serving import Recommender

    recommender = Recommender(export)
    best = recommender.recommend(user, _ids(history), _ids(exclude), k)
    titles = recommender.titles
    output.print(recommendations(best, titles))
    output.write(
        {
            "export": str(recommender.path),
            "user_id": user,
            "items": [
                {"item_id": item, "score": score, "title": titles[item]} for item, score in best
            ],
        }
    )


def recommendations(best: list[tuple[str, float]], titles) -> Table:
    """A table of (item id, score) pairs with their titles."""
    table = Table("", "item", "title", "score", box=None)
    for rank, (item, score) in enumerate(best, 1):
        title = " ".join(titles[item].split())
        table.add_row(str(rank), escape(item), escape(title), f"{score:.3f}")
    return table


def _ids(text: str) -> list[str]:
    return [value.strip() for value in text.split(",") if value.strip()]
