"""docs/results.md, the README's table and the JSON of benchmarks/retrieval.py."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from harness import ROOT, replace_file
from markers import write_between
from retrievals import tables
from retrievals.data import TASKS

PAGE, README = ROOT / "docs" / "results.md", ROOT / "README.md"
HEADER = """# Which model wins where

Written by `python benchmarks/retrieval.py --page`.

Each row has a few settings, at most six. They are fitted on the training events of a validation
split, made as the test split is, and measured by NDCG@10 on its test events, until three minutes
are over; the best one is fitted on all training events and tested. Figures are means ± standard
deviations over seeds; what depends on no seed is fitted once. Warm and cold items are ranked among
themselves; the tail is what is not among the most popular 20 % of the warm items (see
`tfrec_fusion.evaluation.evaluate`). The reference is the classic model that validation finds best;
the differences to it have the 95 % interval of a paired bootstrap over users, of the means over
seeds. Seconds are those of the last fit, the median over seeds, or of everything for `blend`,
`stack` and `auto`, which choose by themselves, and for longer: members are the chosen settings of
other rows. The stack is measured whether or not validation finds it better than its members. Peak
memory is that of the process until the model is fitted, data included.
"""


def section(data: str) -> str:
    """The empty part of a data set on a new page."""
    first, second = TASKS[data].protocol
    marks = f"<!-- {data} table -->\n<!-- end of {data} table -->"
    return f"\n## {data}\n\n{first}\n{second}\n\n{marks}\n"


def body(rows: Sequence[dict]) -> str:
    """What stands between a data set's markers."""
    here = rows[0]["runs"][0]["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in here["versions"].items())
    signed = (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}; {here['cpu']}, {here['cores']} cores, "
        f"{here['memory_gb']} GiB; Python {here['python']}, {versions}."
    )
    published = tables.published(rows)
    parts = [tables.markdown(rows), *([published] if published else []), tables.settings(rows)]
    return "\n\n".join([*parts, signed])


def write_page(rows: Sequence[dict], page: Path = PAGE) -> None:
    """Writes the tables of the data sets that were run; the others keep theirs."""
    text = page.read_text(encoding="utf-8") if page.is_file() else HEADER
    shown = [data for data in TASKS if any(row["data"] == data for row in rows)]
    missing = [data for data in shown if f"<!-- {data} table -->" not in text]
    replace_file(page, text + "".join(section(data) for data in missing))
    for data in shown:
        write_between(page, data, body([row for row in rows if row["data"] == data]))


def write_readme(rows: Sequence[dict], readme: Path = README) -> None:
    """Writes the table of a few models between the README's markers."""
    seeds = max(len(row["runs"]) for row in rows)
    text = (
        "NDCG@10 / Recall@20; the whole catalogue is ranked, cold items included. Retail is split\n"
        "by time; movies, books and ml-100k at random; beauty and scientific hold out each user's\n"
        "last event. Every option is chosen on a validation part of the training events; figures\n"
        f'are means over up to {seeds} seeds. "Text" are the vectors of a sentence encoder,\n'
        '"words" those of `--encoder lexical`. A run of events without times starts training from\n'
        "a closed-form solution, a joint spectral decomposition of events and text\n"
        "(`spectral start`):\n"
    )
    end = (
        "\n[results](docs/results.md) (`python benchmarks/retrieval.py --page --readme`) has all "
        "models, slices,\nintervals, seconds and memory."
    )
    write_between(readme, "quality", "\n".join([text, tables.compact(rows), end]))


def write_json(rows: Sequence[dict], path: Path) -> None:
    """The rows, a run without the place of its arrays."""
    kept = [
        {**row, "runs": [{k: v for k, v in run.items() if k != "users"} for run in row["runs"]]}
        for row in rows
    ]
    replace_file(path, json.dumps(kept, indent=1) + "\n")
