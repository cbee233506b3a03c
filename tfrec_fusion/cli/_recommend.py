"""`tfrec-fusion recommend`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

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
    user: Annotated[str | None, typer.Option(metavar="ID", help="User id; may be unknown.")] = None,
    users: Annotated[
        str | None,
        typer.Option(
            metavar="all|FILE",
            help="Recommend to all users of an export, or to those of a Parquet or CSV file with a "
            "column user_id or of a .txt file with one id a line, and write --out.",
        ),
    ] = None,
    similar_to: Annotated[
        str | None,
        typer.Option(metavar="ITEM", help="Show the items most similar to this one; exports only."),
    ] = None,
    audience_of: Annotated[
        str | None,
        typer.Option(
            metavar="ITEM",
            help="Show the users to whom this item should be shown; exports with --audience only.",
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Show the items found for this text, for --user if given; exports with --search "
            "only.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Parquet file for --users. After an interruption, the same command goes on where "
            "it was.",
        ),
    ] = None,
    history: Annotated[
        str,
        typer.Option(
            metavar="ID,ID", help="The user's history, most recent item last; exports only."
        ),
    ] = "",
    history_ages: Annotated[
        str,
        typer.Option(
            metavar="DAYS,DAYS",
            help="How many days ago the user took each item of --history, for models that read "
            "ages; exports only.",
        ),
    ] = "",
    exclude: Annotated[
        str, typer.Option(metavar="ID,ID", help="Items that must not be recommended.")
    ] = "",
    include: Annotated[
        str | None,
        typer.Option(metavar="ID,ID", help="The only items that may be recommended; exports only."),
    ] = None,
    exclude_seen: Annotated[
        bool,
        typer.Option(
            "--exclude-seen",
            help="Also exclude the stored history if --history is given or repeated events count; "
            "exports only.",
        ),
    ] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Filter of the export, e.g. category=cheese, price_max=20 or in_stock=true. May "
            "be repeated.",
        ),
    ] = None,
    new_users: Annotated[
        Literal["keep", "drop"],
        typer.Option(
            help="With --users: whether users whom the export does not know get the answer of a "
            "new user, or are left out."
        ),
    ] = "keep",
    k: Annotated[int, typer.Option("-k", "--k", help="Number of recommendations.")] = 10,
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain each score by its sources; runs only.")
    ] = False,
    json: Json = None,
) -> None:
    """Recommend items to a user or to many, or items like another, from an export or a run."""
    output = Output(json)
    of_item = similar_to if audience_of is None else audience_of
    searching = search is not None and users is None and of_item is None
    if [user, users, similar_to, audience_of].count(None) != 3 and not (searching and not user):
        raise InputError(
            "recommend: pass one of --user ID, --users all|FILE, --similar-to ITEM and "
            "--audience-of ITEM; or --search TEXT, which takes a --user too"
        )
    if search is not None and not searching:
        raise InputError("recommend: --search is for one --user or nobody; leave the others out")
    if search is not None and (history or history_ages or exclude or include or exclude_seen):
        raise InputError(
            "recommend: --search takes --user, --filter and --k alone; leave the others out"
        )
    if (users is None) != (out is None):
        raise InputError("recommend: pass both --users all|FILE and --out FILE, or neither")
    if user is None and (history or history_ages):
        raise InputError(
            "recommend: --history and --history-ages are of one --user; leave them out"
        )
    if of_item is not None and (exclude or include or exclude_seen):
        raise InputError(
            "recommend: --exclude, --include and --exclude-seen are of --user and --users; leave "
            "them out"
        )
    asked = [
        user or "",
        users or "",
        of_item or "",
        search or "",
        history,
        exclude,
        include or "",
        *(filters or ()),
    ]
    check_unicode(asked, "recommend: one of the given ids")
    if k < 1:
        raise InputError(f"recommend: k must be a whole number of at least 1. Received: {k}")
    start_tensorflow()
    if (source / "config.yaml").is_file():
        of_exports = {
            "--history": history,
            "--history-ages": history_ages,
            "--users": users,
            "--similar-to": similar_to,
            "--audience-of": audience_of,
            "--search": search,
            "--include": include,
            "--exclude-seen": exclude_seen,
            "--filter": filters,
        }
        for name, value in of_exports.items():
            if value:
                raise InputError(
                    f"recommend: {name} needs an export (tfrec-fusion export RUN --to DIR); a run "
                    f"takes histories from its own events. Received: {source}"
                )
        _from_run(source, user or "", _ids(exclude), k, explain, output)
        return
    if explain:
        raise InputError(
            "recommend: --explain needs a run folder, with the trained model, its events and "
            "vectors; an export written with --explain has the signature explain instead. "
            f"Received: {source}"
        )
    from tfrec_fusion.export import Recommender

    recommender = Recommender(source)
    parsed = _filters(filters or [], recommender.filters)
    if of_item is not None:
        if audience_of is not None and filters:
            raise InputError("recommend: --filter does not apply to --audience-of; leave it out")
        _of_item(recommender, of_item, audience_of is not None, k, parsed, output)
        return
    if search is not None:
        best = recommender.search(search, k, user_id=user, filters=parsed)
        titles = recommender.titles
        output.print(recommendations(best, titles))
        found = [{"item_id": i, "score": score, "title": titles[i]} for i, score in best]
        result = {"export": str(recommender.path), "query": search, "user_id": user}
        output.write(result | {"items": found})
        return
    options = {
        "include": None if include is None else _ids(include),
        "exclude_seen": exclude_seen,
        "filters": parsed,
    }
    if users is not None and out is not None:
        excluded = _ids(exclude)
        report = recommender.recommend_all(
            out, users, k, exclude=excluded, new_users=new_users, **options
        )
        output.print(
            f"{report.path}: {report.rows:,} rows of {report.users:,} users, "
            f"{report.seconds:.1f} s, {report.users_per_second:,.0f} users/s"
        )
        output.write({"export": str(recommender.path), **report.to_dict()})
        return
    ids = user, _ids(history), _ids(exclude)
    ages = _numbers(history_ages, "--history-ages") if history_ages else None
    best = recommender.recommend(*ids, k, history_ages=ages, **options)
    titles = recommender.titles
    output.print(recommendations(best, titles))
    output.write(
        {
            "export": str(recommender.path),
            "user_id": user,
            "unknown": recommender.unknown(*ids, options["include"] or ()),
            "items": [
                {"item_id": item, "score": score, "title": titles[item]} for item, score in best
            ],
        }
    )


def _of_item(recommender, item: str, users: bool, k: int, filters: dict, output: Output) -> None:
    titles = recommender.titles
    if users:
        best = recommender.audience(item, k)
        output.print(recommendations(best, {user: "" for user, _ in best}, "user"))
        found = [{"user_id": user, "score": score} for user, score in best]
    else:
        best = recommender.similar(item, k, filters=filters)
        output.print(recommendations(best, titles))
        found = [{"item_id": i, "score": score, "title": titles[i]} for i, score in best]
    result = {"export": str(recommender.path), "item_id": item}
    output.write(result | {"users" if users else "items": found})


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


def recommendations(best: list[tuple[str, float]], titles, of: str = "item") -> Table:
    """Returns a table of (id, score) pairs with their titles."""
    table = Table("", of, "title" if of == "item" else "", "score", box=None)
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


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(value) for value in _ids(text)]
    except ValueError:
        raise InputError(
            f"recommend: {option} must be numbers with commas between them. Received: {text!r}"
        ) from None


def _filters(texts: list[str], dtypes: Mapping[str, str]) -> dict[str, Any]:
    """Parses `NAME=VALUE` by the dtypes of the export's filters; repeated texts are a list."""
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise InputError(f"--filter: must be NAME=VALUE. Received: {text!r}")
        dtype = dtypes.get(name, "string")  # an unknown name is refused later
        if dtype == "string":
            found.setdefault(name, []).append(value)
        elif name in found:
            raise InputError(f"--filter: {name!r} occurs twice. Received: {texts}")
        elif dtype == "bool":
            if value.lower() not in ("true", "false"):
                raise InputError(f"--filter: {name} must be true or false. Received: {value!r}")
            found[name] = value.lower() == "true"
        else:
            try:
                found[name] = float(value)
            except ValueError:
                raise InputError(
                    f"--filter: {name} must be a number. Received: {value!r}"
                ) from None
    return found
