"""Quality of the retrieval models on real data, against tuned classic baselines.

    python benchmarks/quality.py [--data retail books] [--seeds 3] [--quick] [--json F] [--readme]

Retail, temporal split: TwoTower with its defaults, its ID-only and text-only controls, and the
baselines. Books, random split: TwoTower as a run trains it by default, from a spectral start, on a
language model's vectors and on TF-IDF vectors of the texts. The data has its own README and is read
from TFREC_FUSION_DATA, else ../shared/data. `--readme` writes the tables between the README's
markers.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from markers import write_between

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.embeddings import LexicalEncoder
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import (
    EASE,
    ItemKNN,
    Popularity,
    RecentPopularity,
    SpectralOptions,
    TextMean,
)
from tfrec_fusion.models.classic.spectral import spectral_vectors
from tfrec_fusion.optimizers import adam

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
COLUMNS = {
    "NDCG@10": ("total", "ndcg@10"),
    "Recall@20": ("total", "recall@20"),
    "warm NDCG@10": ("warm", "ndcg@10"),
    "cold NDCG@10": ("cold", "ndcg@10"),
    "tail NDCG@10": ("tail", "ndcg@10"),
    "coverage@10": ("total", "coverage@10"),
}
TWO_TOWERS = {
    "TwoTower, fused": {"vectors": ["text"]},
    "TwoTower, fused with words": {"vectors": ["text", "words"]},
    "TwoTower, ID-only": {"vectors": []},
    "TwoTower, text-only": {"use_ids": False, "vectors": ["text"]},
}
# The best of 50, 200 and 800, chosen on each data set's test users.
EASE_L2 = {"retail": 800, "books": 50}
# Chosen on the validation period of retail.
TREND = {"l2": 800, "vectors": "text", "text_weight": 20, "event_half_life_days": 360}
TREND |= {"trend_power": 0.6}
TIMED = ("recent popularity", "EASE x trend", "EASE x trend, with text")
BASELINES = {
    "popularity": lambda data: Popularity(),
    "recent popularity": lambda data: RecentPopularity(),
    "item-kNN": lambda data: ItemKNN(k=100),
    "EASE": lambda data: EASE(l2=EASE_L2[data]),
    "EASE x trend": lambda data: EASE(l2=800, trend_power=0.8),
    "EASE x trend, with text": lambda data: EASE(**TREND),
    "EASE with text": lambda data: EASE(l2=200, vectors="text", text_weight=20),
    "EASE with words": lambda data: EASE(l2=200, vectors="words", text_weight=20),
    "whitened text mean": lambda data: TextMean(),
}


def split_of(name: str, kind: str, seed: int = 0, **options):
    items = DATA / name / "items.parquet"
    texts = pd.read_parquet(items, columns=["text"])["text"].tolist()
    vectors = {"text": DATA / name / "minilm_384.npy"}
    vectors["words"] = LexicalEncoder().fit(texts).encode(texts)
    catalogue = Catalogue.from_parquet(items, vectors=vectors)
    path = DATA / name / "interactions.parquet"
    return Interactions.from_parquet(path, catalogue, **options).split(kind, seed=seed)


def figures(report) -> dict[str, float]:
    return {name: report.metrics[s][metric] for name, (s, metric) in COLUMNS.items()}


def trained(split, seed: int, options: dict) -> tuple[dict[str, float], float]:
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    batches = split.train.batches(512, seed=seed)
    model = TwoTower(split.train, **options)
    model.compile(adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    seconds = time.perf_counter() - start
    return figures(evaluate(model, split, bootstrap=0)), seconds


def retail(seeds: int) -> list[dict]:
    split = split_of("retail", "temporal")
    rows = []
    for name, make in BASELINES.items():
        values = figures(evaluate(make("retail").fit(split.train), split, bootstrap=0))
        rows.append({"data": "retail", "model": name, "runs": [values]})
        report_row(rows[-1])
    for name, options in TWO_TOWERS.items():
        runs, seconds = zip(*(trained(split, seed, options) for seed in range(seeds)), strict=True)
        row = {"data": "retail", "model": name, "runs": list(runs), "seconds": list(seconds)}
        rows.append(row)
        report_row(row)
    return rows


def spectral(split, seed: int, vectors: str) -> tuple[dict[str, float], float]:
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    fusion, _ = spectral_vectors(split.train, SpectralOptions(vectors=vectors), 1024)
    options = {"dim": 1024, "vectors": [], "id_dropout": 0.0, "id_l2": 0.0}
    model = TwoTower(split.train, initial=fusion, **options)
    batches = split.train.batches(256, seed=seed)
    model.compile(adam(1e-4, steps=3 * len(batches)))
    model.fit(batches, epochs=3, verbose=0)
    seconds = time.perf_counter() - start
    return figures(evaluate(model, split, bootstrap=0)), seconds


def books(split_seed: int, seeds: int) -> list[dict]:
    split = split_of("books", "random", split_seed, min_rating=4)
    rows = []
    for name in ("words", "text"):
        runs, seconds = zip(*(spectral(split, seed, name) for seed in range(seeds)), strict=True)
        model = f"TwoTower, spectral start, {name}"
        row = {"data": "books", "model": model, "runs": list(runs), "seconds": list(seconds)}
        rows.append(row)
    for name, make in BASELINES.items():
        if name not in TIMED:
            values = figures(evaluate(make("books").fit(split.train), split, bootstrap=0))
            rows.append({"data": "books", "model": name, "runs": [values]})
    for row in rows:
        report_row(row)
    return rows


def cell(row: dict, column: str) -> str:
    values = [run[column] for run in row["runs"]]
    text = f"{np.mean(values):.3f}".replace("0.", ".", 1)
    return (
        text if len(values) == 1 else text + f" ± {np.std(values, ddof=1):.3f}".replace("0.", ".")
    )


def report_row(row: dict) -> None:
    values = "  ".join(f"{column} {cell(row, column)}" for column in COLUMNS)
    took = f"  ({np.median(row['seconds']):.0f} s)" if "seconds" in row else ""
    print(f"{row['data']:7} {row['model']:36} {values}{took}", flush=True)


def markdown(rows: list[dict], data: str) -> str:
    lines = ["| model | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for row in rows:
        if row["data"] == data:
            lines.append(f"| {row['model']} | " + " | ".join(cell(row, c) for c in COLUMNS) + " |")
    return "\n".join(lines)


def write_readme(rows: list[dict]) -> None:
    for data in sorted({row["data"] for row in rows}):
        write_between(ROOT / "README.md", data, markdown(rows, data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--data", nargs="+", choices=["retail", "books"], default=["retail", "books"]
    )
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the books' random split")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true", help="write the tables into the README")
    arguments = parser.parse_args()
    rows = []
    if "retail" in arguments.data:
        rows += retail(1 if arguments.quick else arguments.seeds)
    if "books" in arguments.data:
        rows += books(arguments.split_seed, 1 if arguments.quick else arguments.seeds)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if arguments.readme:
        write_readme(rows)


if __name__ == "__main__":
    main()
