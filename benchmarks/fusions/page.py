"""The claims, tables and results page of benchmarks/fusion.py."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fusions.rows import ROOT, ROWS, TASKS, TEXT_MEAN
from harness import Claim, machine, replace_file

SLICES = {"total": "N@10", "warm": "warm N@10", "cold": "cold N@10", "tail": "tail N@10"}
COLUMNS = ("N@10", "R@20", "warm N@10", "cold N@10", "tail N@10")


def of_group(rows: list[dict], data: str, *groups: str) -> list[dict]:
    return [row for row in rows if row["data"] == data and ROWS[row["row"]].group in groups]


def best(rows: list[dict]) -> dict | None:
    """The row that validation chooses."""
    return max(rows, key=lambda row: row["validation"]["N@10"], default=None)


def mean_users(row: dict, name: str) -> np.ndarray:
    """Each user's NDCG@10 in a slice, the mean over seeds."""
    return np.mean([run["users"][name] for run in row["runs"]], axis=0)


def mean(row: dict, column: str) -> float:
    return float(np.mean([run["figures"][column] for run in row["runs"]]))


def against(row: dict, control: dict, name: str):
    """Relative difference of a slice's NDCG@10 to the control's, and its 95 % interval."""
    from tfrec_fusion.evaluation import paired_bootstrap

    other = mean_users(control, name)
    found = paired_bootstrap(mean_users(row, name), other, bootstrap=2000)
    return tuple(value / other.mean() for value in (found.difference, found.low, found.high))


def claims(rows: list[dict]) -> Iterator[Claim]:
    """What the recommended fusion of each data set reaches, held against the ID-only control.

    Both are those that validation chooses.
    """
    for data, task in TASKS.items():
        fusion = best(of_group(rows, data, "fusion"))
        control = best(of_group(rows, data, "ids"))
        if fusion is None or control is None:
            continue
        text = next((r for r in rows if r["data"] == data and r["row"] == TEXT_MEAN), None)
        for name, column in SLICES.items():
            peer = text if name == "cold" else control
            if peer is None or not mean(peer, column):
                continue
            difference, low, high = against(fusion, peer, name)
            yield Claim(
                f"{name} NDCG@10 of {fusion['row']} on {data}",
                f"{peer['row']}, tuned" if peer is control else peer["row"],
                1 + difference,
                task.goals.get(name),
                "higher",
                rounds=len(fusion["runs"]),
                low=1 + low,
                high=1 + high,
                detail=f"{mean(fusion, column):.4f} against {mean(peer, column):.4f}; in brackets "
                "the 95 % interval of a paired bootstrap over users",
            )


def cell(row: dict, column: str) -> str:
    values = [run["figures"][column] for run in row["runs"]]
    text = f"{np.mean(values):.3f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.3f}"
    return text.replace("0.", ".")


def table(rows: list[dict], data: str, only: list[dict] | None = None) -> str:
    """A Markdown table of a data set, the best fusion by validation in bold."""
    mine = [row for row in rows if row["data"] == data]
    control = best(of_group(rows, data, "ids"))
    fusion = best(of_group(rows, data, "fusion"))
    lines = ["| model | " + " | ".join(COLUMNS) + " | against ID-only | seconds | validation |"]
    lines.append("| --- |" + " ---: |" * (len(COLUMNS) + 3))
    for row in mine if only is None else only:
        relative = ""
        if control is not None and row is not control:
            found = against(row, control, "total")
            relative = f"{found[0]:+.1%} [{found[1]:+.1%}, {found[2]:+.1%}]"
        cells = [f"**{row['row']}**" if row is fusion else row["row"]]
        cells += [cell(row, column) for column in COLUMNS]
        seconds = np.median([run["seconds"] for run in row["runs"]])
        cells += [relative, f"{seconds:.0f}", f"{row['validation']['N@10']:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def setting_of(setting: dict) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in setting.items()) or "nothing to choose"


def settings(rows: list[dict], data: str) -> str:
    """What was tried for each row, and what was chosen."""
    lines = ["| model | chosen | tried on validation, NDCG@10 |", "| --- | --- | --- |"]
    for row in rows:
        if row["data"] == data:
            tried = "; ".join(f"{setting_of(t['setting'])}: {t['N@10']:.4f}" for t in row["tried"])
            lines.append(f"| {row['row']} | {setting_of(row['setting'])} | {tried} |")
    return "\n".join(lines)


def show(rows: list[dict]) -> None:
    """Print the tables and the claims."""
    for data in dict.fromkeys(row["data"] for row in rows):
        print(f"\n{data}\n\n{table(rows, data)}\n")
    for claim in claims(rows):
        print(claim)


def write_json(rows: list[dict], path: Path) -> None:
    """The claims, in the form of benchmarks/run.py."""
    found = [claim.row() for claim in claims(rows)]
    replace_file(path, json.dumps(found, indent=1) + "\n")


def write_page(rows: list[dict]) -> None:
    """docs/results_fusion.md; data sets that were not run keep their claims and their section."""
    path = ROOT / "docs" / "results_fusion.md"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    here = machine()
    versions = ", ".join(f"{package} {version}" for package, version in here["versions"].items())
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    signed = (
        f"\n{when}; two processes of one thread each on {here['cpu']}, {here['cores']} cores; "
        f"Python {here['python']}, {versions}.\n"
    )
    parts = [HEADER, "## What was to be shown\n"]
    parts.append("| claim | against | ratio | goal | holds | figures |")
    parts.append("| --- | --- | ---: | ---: | --- | --- |")
    sections = []
    for data in TASKS:
        if any(row["data"] == data for row in rows):
            parts += claim_lines(rows, data)
            sections.append(section(rows, data) + signed)
        else:
            parts += re.findall(rf"^\| \w+ NDCG@10 of .* on {data} \|.*$", before, re.MULTILINE)
            sections += re.findall(rf"^## {data}\n.*?(?=^## |\Z)", before, re.MULTILINE | re.DOTALL)
    kept = [part.strip("\n") for part in sections]
    replace_file(path, "\n".join(parts) + "\n\n" + "\n\n".join(kept) + "\n")


def claim_lines(rows: list[dict], data: str) -> list[str]:
    """A line of the page's first table for each claim on a data set."""
    lines = []
    for claim in claims([row for row in rows if row["data"] == data]):
        row = claim.row()
        goal = "" if row["goal"] is None else f"{row['goal']:g}"
        holds = {True: "yes", False: "**no**", None: ""}[row["holds"]]
        ratio = f"{row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        figures = row["detail"].partition(";")[0]
        lines.append(f"| {row['claim']} | {row['peer']} | {ratio} | {goal} | {holds} | {figures} |")
    return lines


def section(rows: list[dict], data: str) -> str:
    """A data set's part of the page."""
    task = TASKS[data]
    parts = [
        f"## {data}\n\n{task.split} split; {task.dim} columns, {task.epochs} epochs of "
        f"batches of {task.batch} users, examples {task.examples!r}.\n"
    ]
    parts += [table(rows, data), "", settings(rows, data)]
    shown = {row["row"] for row in rows if row["data"] == data}
    absent = [name for name, row in ROWS.items() if data in row.data and name not in shown]
    if absent:
        parts.append(f"\nNot run: {', '.join(absent)}.")
    return "\n".join(parts) + "\n"


def write_readme(rows: list[dict]) -> None:
    """The controls and the two best fusions of each data set, between the README's markers.

    Data sets that were not run keep theirs.
    """
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- fusion table -->", "<!-- end of fusion table -->"
    head, rest = text.split(begin)
    before, tail = rest.split(end)
    parts = []
    for data in TASKS:
        if not any(row["data"] == data for row in rows):
            parts += re.findall(rf"^{data}:\n\n(?:\|.*\n)+", before, re.MULTILINE)
            continue
        fusions = of_group(rows, data, "fusion")
        fusions.sort(key=lambda row: -row["validation"]["N@10"])
        chosen = [*of_group(rows, data, "ids", "text"), *fusions[:2]]
        parts.append(f"{data}:\n\n{table(rows, data, chosen)}\n")
    replace_file(path, head + begin + "\n" + "\n".join(parts) + end + tail)


HEADER = """# Which fusion wins where

Written by `python benchmarks/fusion.py --page`.

Every row of a table is the same two-tower model with the same loss, number of columns and epochs;
only what an item's vector is made of differs. (AlphaRec is a model of its own. The rows of 512
columns and those with a spectral start are larger, so each comes with its own ID-only row; what
starts from a solution takes fewer epochs.) Text is a sentence encoder's vectors, all-MiniLM-L6-v2;
rows with "words" have those of `LexicalEncoder` in their place or beside them, of the same texts.

The whole catalogue is ranked, items without a training event included. N@10 is NDCG@10 and R@20
Recall@20; warm and cold items are ranked among themselves; the tail is what is not among the most
popular 20 % of the warm items, ranked against the whole catalogue (see
`tfrec_fusion.evaluation.evaluate`).

Everything is chosen on a validation split of the training events, made as the test split is: each
row's learning rate, the weight of the ids' L2 norm, and for a spectral start the weight of text and
the regularisation (at least as many settings for ID-only as for a fusion); which fusion is
recommended (bold) and which ID-only row it is held against: those of the highest total N@10 there.
The chosen setting is trained on all training events, once a seed, and tested; figures are means ±
standard deviations over seeds. "Against ID-only" is the relative difference of the total with the
95 % interval of a paired bootstrap over users, of the means over seeds. "Seconds" are the
processor's for one training, on a machine that did other work as well. Settings that are alike for
all (ID dropout, whitening, batch size) are the model's defaults or were set once by hand on
validation.
"""
