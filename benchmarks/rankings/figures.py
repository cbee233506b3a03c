"""Figures of scored pairs, their differences with intervals, and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfrec_fusion.evaluation.bootstrap import interval, resamples
from tfrec_fusion.metrics import auc, gauc, log_loss, ndcg_of_lists
from tfrec_fusion.metrics.grouped_auc import user_aucs

FEW = 5  # training events of an item
_SHOWN = ("GAUC", "AUC", "log loss", "NDCG@10", "few GAUC", "few AUC")
_RESAMPLES = 2000


def figures(pairs: Mapping[str, np.ndarray], logits: np.ndarray) -> dict[str, float]:
    """GAUC, AUC, log loss, NDCG@10 of each user's pairs, and both AUCs on items of few events."""
    user, label = pairs["user"], pairs["label"]
    few = pairs["events"] < FEW
    return {
        "GAUC": gauc(user, label, logits),
        "AUC": auc(label, logits),
        "log loss": log_loss(label, logits, from_logits=True),
        "NDCG@10": ndcg_of_lists(user, label, logits),
        "few GAUC": gauc(user[few], label[few], logits[few]),
        "few AUC": auc(label[few], logits[few]),
    }


def best_of(rows: Sequence[Mapping]) -> dict[str, str]:
    """Data set -> the row that validation finds best."""
    found: dict[str, Mapping] = {}
    for row in rows:
        if row["data"] not in found or row["valid"] > found[row["data"]]["valid"]:
            found[row["data"]] = row
    return {data: row["model"] for data, row in found.items()}


def markdown(rows: Sequence[Mapping]) -> str:
    """A table: means over seeds with standard deviations, and rows a second of training."""
    heads = [*(name.replace("few", f"< {FEW} events,") for name in _SHOWN), "rows/s"]
    lines = ["| model | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for row in rows:
        cells = []
        for name in _SHOWN:
            values = [run[name] for run in row["runs"]]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}".replace("0.", "."))
        speed = np.median([run["rows a second"] for run in row["runs"]])
        lines.append(f"| {row['model']} | " + " | ".join([*cells, f"{speed:,.0f}"]) + " |")
    return "\n".join(lines)


def gained(rows: Sequence[Mapping], pairs: Mapping[str, np.ndarray], peers: set[str]) -> list[str]:
    """Sentences: the best of ours against the best peer, and with text against without."""
    by_name = {row["model"]: row for row in rows}
    ours = [row for row in rows if row["model"] not in peers]
    theirs = [row for row in rows if row["model"] in peers]
    wanted = []
    if ours and theirs:
        wanted.append(tuple(max(group, key=lambda row: row["valid"]) for group in (ours, theirs)))
    for name, row in by_name.items():
        other = by_name.get(f"{name}, without text")
        if other:
            wanted.append((row, other))
    return [_difference(row, other, pairs) for row, other in wanted]


def _difference(row: Mapping, other: Mapping, pairs: Mapping[str, np.ndarray]) -> str:
    few = pairs["events"] < FEW
    found = []
    for name, part in (("GAUC", np.ones(len(few), bool)), (f"on items of < {FEW} events", few)):
        own, theirs = (_per_user(one["scores"], pairs, part) for one in (row, other))
        difference, low, high = _bootstrap(own[0] - theirs[0], own[1])
        found.append(f"{name} {difference:+.4f} [{low:+.4f}, {high:+.4f}]")
    return f"{row['model']} against {other['model']}: {', '.join(found)}."


def _per_user(scores: Sequence[np.ndarray], pairs, part) -> tuple[np.ndarray, np.ndarray]:
    """The AUC of each user with both labels, mean over seeds, and their numbers of pairs."""
    user, label = pairs["user"][part], pairs["label"][part]
    found = [user_aucs(user, label, one[part]) for one in scores]
    count = found[0][2]
    there = ~np.isnan(found[0][0])
    return np.mean([auc[there] for auc, _, _ in found], 0), count[there]


def _bootstrap(difference: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    drawn = resamples(len(weight), _RESAMPLES, seed=0)
    means = [(times @ (weight * difference)) / (times @ weight) for times in drawn]
    low, high = interval(np.concatenate(means))
    return float(np.average(difference, weights=weight)), float(low), float(high)
