"""What counting repeated purchases adds, on retail and on the sample.

    python benchmarks/repeats.py [--data retail sample] [--seeds 3] [--json F] [--page]

Temporal split of all events; items of a user's history are candidates and targets as all others
(`Interactions(repeats="all")`). `TwoTower, first` learns from first purchases alone and scores all
items, or leaves out those of the history as its exports do; `TwoTower, all` learns from all. The
intervals are 95 % paired bootstraps over users, of
the mean over seeds, against the user's own most frequent items. `--page` writes the table into
docs/events.md.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from markers import write_between

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions, sample_folder
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.features import State
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import EASE, ItemKNN, PersonalFrequency, RecentPopularity
from tfrec_fusion.optimizers import adam

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
BASELINES = {
    "personal frequency": PersonalFrequency,
    "recent popularity": RecentPopularity,
    "item-kNN": ItemKNN,
    "EASE": lambda: EASE(l2=800),
}
COLUMNS = {
    "NDCG@10": ("total", "ndcg@10"),
    "Recall@20": ("total", "recall@20"),
    "repeated NDCG@10": ("repeated", "ndcg@10"),
    "novel NDCG@10": ("novel", "ndcg@10"),
}


class FirstOnly:
    """A model of first events, scored where repeated ones count.

    `masked` puts the items of the history last, as the model's exports leave them out.
    """

    def __init__(self, model, masked: bool):
        self.model, self.masked = model, masked

    def scorer(self, state):
        first = State.of(state.events.with_repeats("first"))
        scorer = self.model.scorer(first)

        def score(users):
            scores = scorer(users)
            if self.masked:
                scores[first.matrix[users].nonzero()] = scores.min() - 1
            return scores

        return score


def split_of(name: str):
    folder = sample_folder() if name == "sample" else DATA / name
    vectors = {"text": folder / "minilm_384.npy"}
    catalogue = Catalogue.from_parquet(folder / "items.parquet", vectors=vectors)
    path = folder / "interactions.parquet"
    return Interactions.from_parquet(path, catalogue, repeats="all").split("temporal")


def trained(train, seed: int) -> TwoTower:
    keras.utils.set_random_seed(seed)
    batches = train.batches(512, seed=seed)
    model = TwoTower(train)
    model.compile(adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    return model


def measured(name: str, seeds: int) -> list[dict]:
    split = split_of(name)
    reports = {key: [evaluate(make().fit(split.train), split)] for key, make in BASELINES.items()}
    first = split.train.with_repeats("first")
    for seed in range(seeds):
        one = trained(first, seed)
        models = {
            "TwoTower, first": FirstOnly(one, masked=False),
            "TwoTower, first, history left out": FirstOnly(one, masked=True),
            "TwoTower, all": trained(split.train, seed),
        }
        for key, model in models.items():
            reports.setdefault(key, []).append(evaluate(model, split))
            print(name, key, seed, reports[key][-1].metrics["total"]["ndcg@10"], flush=True)
    usual = reports["personal frequency"][0].per_user["ndcg@10"]
    rows = []
    for key, runs in reports.items():
        mean = np.mean([run.per_user["ndcg@10"] for run in runs], 0)
        found = paired_bootstrap(mean, usual)
        row = {"data": name, "model": key, "low": found.low, "high": found.high}
        for column, (part, metric) in COLUMNS.items():
            values = [run.metrics[part][metric] for run in runs]
            row[column] = float(np.mean(values))
            row[f"{column}, deviation"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        rows.append(row)
    counts = reports["personal frequency"][0].counts
    print(name, {part: counts[part] for part in ("total", "repeated", "novel")})
    return rows


def page(rows: list[dict]) -> str:
    lines = [
        "| data | model | " + " | ".join(COLUMNS) + " | NDCG@10 against personal frequency |",
        "| --- | --- |" + " --- |" * (len(COLUMNS) + 1),
    ]
    for row in rows:
        values = " | ".join(f"{row[column]:.3f}" for column in COLUMNS)
        against = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        own = row["model"] == "personal frequency"
        lines.append(f"| {row['data']} | {row['model']} | {values} | {'' if own else against} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=["retail", "sample"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    rows = [row for name in options.data for row in measured(name, options.seeds)]
    print(page(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    if options.page:
        write_between(ROOT / "docs" / "events.md", "repeats", page(rows))


if __name__ == "__main__":
    main()
