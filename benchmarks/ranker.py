"""Predicts whether a user buys an item in the test period: Ranker against popularity, real data.

    python benchmarks/ranker.py [--seeds 3] [--quick] [--json FILE]

Retail, temporal split. Positives are the test events (first events of new pairs, of users with
training events). Negatives of each are sampled items that the user never buys: half from other
events within half a week of it, half uniformly from the items on sale then. All features of users
and items are as of the start of the test period. All contenders score the same pairs. The data has
its own README and is read from TFREC_FUSION_DATA, else ../shared/data.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.metrics import gauc
from tfrec_fusion.models import Ranker
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
RANKERS = {
    "Ranker, fused": {},
    "Ranker, ID-only": {"vectors": []},
    "Ranker, text-only": {"use_ids": False},
}
SHARES = {"popularity": None, "popularity, last 60 days": 60, "popularity, last 30 days": 30}
NEGATIVES = 4
EPOCHS = 2
# Days of training purchases: a year has each season once, and older ones did not help.
DAYS = 365


class Pairs:
    """The test pairs: batches for models, and flat users, items and labels for `figures`."""

    def __init__(self, split):
        # A fixed seed, so that the pairs are the same for every training seed.
        batches = ranking_examples(
            split.test,
            2048,
            known=split.train,
            at=split.time,
            negatives=NEGATIVES,
            shuffle=False,
            seed=7,
        )
        self.batches = list(batches)
        self.item = np.concatenate([batch["item"] for batch in self.batches])
        self.label = np.concatenate([batch["label"] for batch in self.batches]).ravel()
        user = np.concatenate([batch["user"] for batch in self.batches])
        self.user = np.repeat(user, 1 + NEGATIVES)

    def figures(self, logits: np.ndarray, calibrated: bool = True) -> dict[str, float]:
        """GAUC, AUC and, for logits, the log loss at the sampled share of positives."""
        logits = logits.ravel().astype(np.float64)
        one = np.zeros(len(logits), np.int32)
        out = {
            "GAUC": gauc(self.user, self.label, logits),
            "AUC": gauc(one, self.label, logits),
        }
        if calibrated:
            signed = np.where(self.label > 0, -logits, logits)
            out["log loss"] = float(np.logaddexp(0, signed).mean())
        return out


def trained(split, pairs: Pairs, seed: int, options: dict, quick: bool):
    """Trains one model; returns its figures and its training time in seconds."""
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    days = 90 if quick else DAYS
    recent = split.train.select(split.train.timestamp >= split.time - days * DAY)
    batches = ranking_examples(
        recent, 1024, known=split.train, negatives=NEGATIVES, min_history=1, seed=seed
    )
    epochs = 1 if quick else EPOCHS
    model = Ranker(split.train, **options)
    model.compile(adam(2e-3, steps=epochs * len(batches)))
    model.fit(batches, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    logits = np.concatenate([model.predict_on_batch(batch) for batch in pairs.batches])
    return pairs.figures(logits), seconds


def shares(split, pairs: Pairs, days: float | None) -> dict[str, float]:
    """Figures of popularity: an item's share of the training events of the last days."""
    train = split.train
    recent = train.timestamp >= (split.time - days * DAY if days else 0)
    count = np.bincount(train.item[recent], minlength=len(train.catalogue))
    return pairs.figures(count[pairs.item], calibrated=False)


def table(rows: dict[str, dict]) -> str:
    """Rows as Markdown: means over seeds, with the spread (largest minus smallest) of GAUC."""
    lines = [
        "| model | GAUC | spread | AUC | log loss | s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        loss = f"{row['log loss']:.4f}" if "log loss" in row else "-"
        spread = f"{row['spread']:.4f}" if "spread" in row else "-"
        seconds = f"{row['seconds']:.0f}" if "seconds" in row else "-"
        lines.append(
            f"| {name} | {row['GAUC']:.4f} | {spread} | {row['AUC']:.4f} | {loss} | {seconds} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="training seeds of each model")
    parser.add_argument("--quick", action="store_true", help="one seed, 90 days, one epoch")
    parser.add_argument("--json", type=Path, help="write every seed's figures here")
    arguments = parser.parse_args()
    folder = DATA / "retail"
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    split = Interactions.from_parquet(folder / "interactions.parquet", catalogue).split("temporal")
    pairs = Pairs(split)
    rows = {name: shares(split, pairs, days) for name, days in SHARES.items()}
    seeds = range(1 if arguments.quick else arguments.seeds)
    runs = {name: [] for name in RANKERS}
    for seed in seeds:
        for name, options in RANKERS.items():
            runs[name].append(trained(split, pairs, seed, options, arguments.quick))
            print(f"seed {seed}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    for name, of_seeds in runs.items():
        figures = [run for run, _ in of_seeds]
        rows[name] = {key: float(np.mean([f[key] for f in figures])) for key in figures[0]}
        rows[name]["spread"] = float(np.ptp([f["GAUC"] for f in figures]))
        rows[name]["seconds"] = float(np.mean([seconds for _, seconds in of_seeds]))
    print(
        f"retail, temporal split: {len(pairs.item):,} test events of {len(set(pairs.user)):,} users"
    )
    print(f"each beside {NEGATIVES} sampled items; {len(seeds)} seed(s)\n")
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"mean": rows, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
