"""Comparisons and Markdown tables of benchmarks/retrieval.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from retrievals.cells import COLUMNS
from retrievals.rows import CLASSIC
from retrievals.runs import described

README_ROWS = (
    "popularity",
    "recent popularity",
    "item-kNN",
    "iALS",
    "EASE",
    "EASE with text",
    "EASE with words",
    "EASE x trend, with text",
    "EASE with order and text",
    "Spectral, text",
    "Spectral, words",
    "TwoTower",
    "TwoTower, spectral start",
    "blend",
    "stack",
    "auto",
)
README_DATA = ("retail", "movies", "books", "ml-100k", "beauty", "scientific")


def reference(rows: Sequence[dict]) -> dict | None:
    """The classic row that validation finds best."""
    classic = [row for row in rows if row["group"] == CLASSIC and row["NDCG@10"] is not None]
    return max(classic, key=lambda row: row["NDCG@10"], default=None)


def compared(rows: Sequence[dict], bootstrap: int = 2000) -> list[dict]:
    """The rows of a data set with their difference to the reference.

    It is that of the users' NDCG@10, each the mean over seeds, with the 95 % interval of a paired
    bootstrap over users.
    """
    from tfrec_fusion.evaluation import paired_bootstrap

    best, found = reference(rows), []
    others = None if best is None else users_mean(best)
    for row in rows:
        row = {**row, "reference": best and best["row"]}
        row |= dict.fromkeys(("difference", "low", "high"))
        if others is not None and row["row"] != row["reference"]:
            pair = paired_bootstrap(users_mean(row), others, bootstrap=bootstrap)
            row |= {"difference": pair.difference, "low": pair.low, "high": pair.high}
        found.append(row)
    return found


def users_mean(row: dict) -> np.ndarray:
    """NDCG@10 of each user, the mean over seeds."""
    values = []
    for run in row["runs"]:
        with np.load(run["users"]) as arrays:
            values.append(arrays["ndcg@10"])
    return np.mean(values, axis=0)


def number(value: float) -> str:
    """A figure of at most 1 with three decimals and no leading zero."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def spread(values: Sequence[float | None]) -> str:
    """Mean ± standard deviation; the value alone if there is one; nothing without a value."""
    there = [value for value in values if value is not None]
    if not there:
        return ""
    text = number(float(np.mean(there)))
    return text if len(there) == 1 else f"{text} ± {number(float(np.std(there, ddof=1)))}"


def cell(row: dict, column: str) -> str:
    return spread([run["figures"][column] for run in row["runs"]])


def against(row: dict) -> str:
    """The difference to the reference."""
    if row["row"] == row["reference"]:
        return "reference"
    if row["difference"] is None:
        return ""
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def markdown(rows: Sequence[dict]) -> str:
    """The table of a data set."""
    heads = [*COLUMNS, "NDCG@10 against the reference", "seconds", "peak MB", "settings tried"]
    lines = [f"| model | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    for row in rows:
        seconds, peak = (np.median([run[k] for run in row["runs"]]) for k in ("seconds", "peak_mb"))
        cells = [row["row"], *(cell(row, column) for column in COLUMNS), against(row)]
        cells += [f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}", f"{peak:,.0f}"]
        lines.append(f"| {' | '.join([*cells, str(len(row['tried']))])} |")
    return "\n".join(lines)


def published(rows: Sequence[dict]) -> str:
    """The figures of published leave-one-out tables; empty for other splits."""
    with_figures = [row for row in rows if "published" in row["runs"][0]]
    if not with_figures:
        return ""
    columns = list(with_figures[0]["runs"][0]["published"])
    titles = [column.replace("recall", "Recall").replace("ndcg", "NDCG") for column in columns]
    lines = [f"| model | {' | '.join(titles)} |", "| --- |" + " ---: |" * len(titles)]
    for row in with_figures:
        cells = [spread([run["published"][column] for run in row["runs"]]) for column in columns]
        lines.append(f"| {row['row']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def settings(rows: Sequence[dict]) -> str:
    """What validation chose for each row."""
    lines = ["| model | chosen | NDCG@10 on validation |", "| --- | --- | ---: |"]
    for row in rows:
        notes = list(dict.fromkeys(run["note"] for run in row["runs"] if run["note"]))
        chosen = "; ".join([described(row["setting"]), *notes])
        score = "" if row["NDCG@10"] is None else number(row["NDCG@10"])
        lines.append(f"| {row['row']} | {chosen} | {score} |")
    return "\n".join(lines)


def compact(rows: Sequence[dict]) -> str:
    """The README's table: NDCG@10 / Recall@20 of a few models, a column for each data set."""
    shown = [data for data in README_DATA if any(row["data"] == data for row in rows)]
    there = {(row["data"], row["row"]): row for row in rows}
    lines = [f"| model | {' | '.join(shown)} |", "| --- |" + " ---: |" * len(shown)]
    for name in README_ROWS:
        cells = [_pair(there.get((data, name))) for data in shown]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _pair(row: dict | None) -> str:
    if row is None:
        return ""
    means = (np.mean([run["figures"][c] for run in row["runs"]]) for c in ("NDCG@10", "Recall@20"))
    return " / ".join(number(float(value)) for value in means)
