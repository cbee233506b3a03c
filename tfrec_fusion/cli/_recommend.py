"""`tfrec-fusion recommend`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.errors import InputError
from tfrec_fusion.texts import check_unicode

_log = logging.getLogger(__name__)


def recommend(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_EXPORT",
            help="Run folder, folder of exported versions, or one exported version.",
        ),
    ],
    user: Annotated[str, typer.Option(metavar="ID", help="User id; may be unknown.")],
    history: Annotated[
        str,
        typer.Option(
            metavar="ID,ID", help="The user's history, most recent item last; exports only."
        ),
    ] = "",
    exclude: Annotated[
        str, typer.Option(metavar="ID,ID", help="Items that must not be recommended.")
    ] = "",
    k: Annotated[int, typer.Option("-k", help="Number of recommendations.")] = 10,
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain each score by its sources; runs only.")
    ] = False,
    json: Json = None,
) -> None:
    """Recommend items to a user, from an export or a run."""
    output = Output(json)
    check_unicode([user, history, exclude], "recommend: one of user, history and exclude")
    if k < 1:
        raise InputError(f"recommend: k must be a whole number of at least 1. Received: {k}")
    start_tensorflow()
    if (source / "config.yaml").is_file():
        if history:
            raise InputError(
                "recommend: --history needs an export; a run takes histories from its own events. "
                f"Received: {source}"
            )
        _from_run(source, user, _ids(exclude), k, explain, output)
        return
    if explain:
        raise InputError(
            "recommend: --explain needs a run folder, with the trained model, its events and "
            "vectors; an export written with --explain has the signature explain instead. "
            f"Received: {source}"
        )
    from tfrec_fusion.export import Recommender

    recommender = Recommender(source)
    asked = user, _ids(history), _ids(exclude)
    best = recommender.recommend(*asked, k)
    titles = recommender.titles
    output.print(recommendations(best, titles))
    output.write(
        {
            "export": str(recommender.path),
            "user_id": user,
            "unknown": recommender.unknown(*asked),
            "items": [
                {"item_id": item, "score": score, "title": titles[item]} for item, score in best
            ],
        }
    )


def _from_run(folder: Path, user: str, exclude: list[str], k: int, explained: bool, output: Output):
    from tfrec_fusion.export.known_users import with_known_users
    from tfrec_fusion.training import Run

    run = Run.open(folder)
    model = run.model()
    # The events that an export serves, and the vectors by which an explanation compares items.
    events = run.events(vectors=run.config.data.vectors)
    events = with_known_users(model, events, lambda: run.split.train.users)
    if model.spec.user_side is not None:
        events = events.with_table_users()
    unknown = _unknown(events, user, exclude)
    if unknown:
        _log.warning("recommend: ignored unknown ids: %s", unknown)
    best = _best(model, events, user, exclude, k)
    ids, titles = events.catalogue.vocabulary.ids, events.catalogue.titles
    title_of = dict(zip(ids, titles, strict=True))
    items = [{"item_id": item, "score": score, "title": title_of[item]} for item, score in best]
    if explained:
        from tfrec_fusion.evaluation import explain

        frame = explain(model, events, user, [item for item, _ in best])
        output.print(_explanations(frame, title_of))
        shares = list(frame.columns[3:-2])
        for entry, row in zip(items, frame.to_dict("records"), strict=True):
            entry["shares"] = {name: row[name] for name in shares}
            entry["nearest"] = [
                {"item_id": item, "cosine": cosine, "title": title_of[item]}
                for item, cosine in zip(row["nearest_items"], row["nearest_cosines"], strict=True)
            ]
    else:
        output.print(recommendations(best, title_of))
    output.write({"run": str(folder), "user_id": user, "unknown": unknown, "items": items})


def _unknown(events, user: str, exclude: list[str]) -> dict[str, list[str]]:
    """Unknown ids by field, as in `Recommender.unknown`."""
    found = {
        "user_id": [user] if events.users.rows([user])[0] < 0 else [],
        "exclude": [item for item in exclude if events.catalogue.vocabulary.rows([item])[0] < 0],
    }
    return {name: ids for name, ids in found.items() if ids}


def _best(model, events, user: str, exclude: list[str], k: int) -> list[tuple[str, float]]:
    """The k best (item id, score) pairs outside the user's history and `exclude`."""
    import numpy as np

    from tfrec_fusion.features import State

    state = State.of(events)
    row, vocabulary = events.users.rows([user]), events.catalogue.vocabulary
    scores = np.asarray(model.scorer(state)(row)[0])
    left = np.ones(len(scores), bool)
    left[state.histories.of(row[0])] = False
    excluded = vocabulary.rows(exclude)
    left[excluded[excluded >= 0]] = False
    order = np.argsort(-scores, kind="stable")
    return [(str(vocabulary.ids[i]), float(scores[i])) for i in order[left[order]][:k]]


def recommendations(best: list[tuple[str, float]], titles) -> Table:
    """Returns a table of (item id, score) pairs with their titles."""
    table = Table("", "item", "title", "score", box=None)
    for rank, (item, score) in enumerate(best, 1):
        title = " ".join(titles[item].split())
        table.add_row(str(rank), escape(item), escape(title), f"{score:.3f}")
    return table


def _explanations(frame, title_of) -> Table:
    """Returns a table of the result of `explain` for one user."""
    shares = list(frame.columns[3:-2])
    table = Table("", "item", "title", "score", *shares, "nearest of the history", box=None)
    for rank, row in enumerate(frame.to_dict("records"), 1):
        near = [
            f"{' '.join(title_of[item].split())} ({cosine:.2f})"
            for item, cosine in zip(row["nearest_items"], row["nearest_cosines"], strict=True)
        ]
        table.add_row(
            str(rank),
            escape(row["item_id"]),
            escape(" ".join(title_of[row["item_id"]].split())),
            f"{row['score']:.3f}",
            *(f"{row[name]:+.3f}" for name in shares),
            escape("; ".join(near)),
        )
    return table


def _ids(text: str) -> list[str]:
    return [value.strip() for value in text.split(",") if value.strip()]
