"""Figures of scored pairs, their differences with intervals, and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from tfrec_fusion.metrics.grouped_auc import gauc, user_aucs

FEW = 5  # training events of an item
_SHOWN = ("GAUC", "AUC", "log loss", "NDCG@10", "few GAUC", "few AUC")
_RESAMPLES = 2000


def figures(pairs: Mapping[str, np.ndarray], logits: np.ndarray) -> dict[str, float]:
    """GAUC, AUC, log loss, NDCG@10 of each user's pairs, and both AUCs on items of few events."""
    user, label = pairs["user"], pairs["label"]
    probability = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -30, 30)))
    few = pairs["events"] < FEW
    return {
        "GAUC": gauc(user, label, logits),
        "AUC": float(roc_auc_score(label, logits)),
        "log loss": float(log_loss(label, probability)),
        "NDCG@10": _ndcg(user, label, logits),
        "few GAUC": gauc(user[few], label[few], logits[few]),
        "few AUC": float(roc_auc_score(label[few], logits[few])),
    }


def _ndcg(user: np.ndarray, label: np.ndarray, scores: np.ndarray, k: int = 10) -> float:
    order = np.lexsort([-scores, user])
    of_user, gain = user[order], label[order]
    starts = np.flatnonzero(np.append(True, np.diff(of_user) != 0))
    rank = np.arange(len(gain)) - np.repeat(starts, np.diff(np.append(starts, len(gain))))
    discount = np.where(rank < k, 1 / np.log2(rank + 2), 0.0)
    found = np.add.reduceat(gain * discount, starts)
    best = np.cumsum(1 / np.log2(np.arange(k) + 2))
    positives = np.add.reduceat(gain, starts).astype(int)
    there = positives > 0
    return float((found[there] / best[np.minimum(positives[there], k) - 1]).mean())


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
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(weight), np.full(len(weight), 1 / len(weight)), _RESAMPLES)
    means = (drawn @ (weight * difference)) / (drawn @ weight)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.average(difference, weights=weight)), float(low), float(high)
