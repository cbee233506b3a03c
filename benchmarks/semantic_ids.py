"""What semantic ids add beside ids and texts, and beside ids alone, by slice.

    python benchmarks/semantic_ids.py [--data retail books] [--rows NAME ...] [--seeds 3] [--quick]
                                      [--validation] [--json FILE] [--page]

Retail is split by time, books at random, and every model has the size, examples, epochs and first
setting of the data in benchmarks/fusion.py. `shuffled` gives every item the semantic id of another
one. Differences are to the model without semantic ids and with the same vectors; in brackets are
95 % paired bootstraps over users, of the mean over seeds. `--validation` measures on the validation
split of the training events. `--page` writes the table into docs/features.md. The data is read from
TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from fusions.rows import DATA, TASKS, Task
from harness import ROOT
from markers import write_between

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.features import Features, SemanticId
from tfrec_fusion.models import TwoTower
from tfrec_fusion.optimizers import adam

SLICES = {"total": "all items", "cold": "cold items", "tail": "tail"}
TEXT, SHUFFLED = (Features(item=[SemanticId(column=name)]) for name in ("text", "shuffled"))
# Name -> (features, vectors, the row that it is compared with).
ROWS: dict[str, tuple[Features, list[str], str | None]] = {
    "ids and texts": (Features(), ["text"], None),
    "ids, texts and semantic ids": (TEXT, ["text"], "ids and texts"),
    "ids, texts, semantic ids shuffled": (SHUFFLED, ["text"], "ids and texts"),
    "ids": (Features(), [], None),
    "ids and semantic ids": (TEXT, [], "ids"),
    "ids, semantic ids shuffled": (SHUFFLED, [], "ids"),
}
QUICK = tuple(ROWS)[:2]


def split_of(data: str, validation: bool) -> Split:
    task, folder = TASKS[data], DATA / data
    text = np.load(folder / "minilm_384.npy")
    others = text[np.random.default_rng(0).permutation(len(text))]
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": text, "shuffled": others}
    )
    events = Interactions.from_parquet(
        folder / "interactions.parquet", catalogue, min_rating=task.min_rating
    )
    test = events.split(task.split)
    return test.train.split(task.split, seed=1) if validation else test


def trained(task: Task, train: Interactions, features: Features, vectors: list[str], seed: int):
    keras.utils.set_random_seed(seed)
    batches = train.batches(task.batch, examples=task.examples, seed=seed)
    options = {"dim": task.dim, **task.options, **task.settings[0]}
    rate = options.pop("learning_rate")
    model = TwoTower(train, features=features, vectors=vectors, **options)
    model.compile(adam(rate, steps=task.epochs * len(batches), warmup_steps=20))
    model.fit(batches, epochs=task.epochs, verbose=0)
    return model


def measured(data: str, names: list[str], seeds: int, validation: bool) -> list[dict]:
    split, users, rows = split_of(data, validation), {}, []
    for name in names:
        features, vectors, control = ROWS[name]
        runs = []
        for seed in range(seeds):
            model = trained(TASKS[data], split.train, features, vectors, seed)
            runs.append(evaluate(model, split, bootstrap=0))
            shown = {part: round(runs[-1].metrics[part]["ndcg@10"], 4) for part in SLICES}
            print(data, name, seed, shown, flush=True)
        row: dict = {"data": data, "model": name}
        for part in SLICES:
            each = np.stack([run.slice_per_user[part]["ndcg@10"] for run in runs])
            users[name, part] = each.mean(0)
            row[part] = {"N@10": float(each.mean()), "deviation": float(each.mean(1).std())}
            if (control, part) in users:
                found = paired_bootstrap(users[name, part], users[control, part], bootstrap=2000)
                row[part] |= {"low": found.low, "high": found.high}
        rows.append(row)
    return rows


def markdown(rows: list[dict]) -> str:
    lines = ["| data | model | " + " | ".join(SLICES.values()) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(SLICES))
    for row in rows:
        cells = []
        for part in SLICES:
            text = f"{row[part]['N@10']:.3f}".replace("0.", ".", 1)
            if "low" in row[part]:
                text += f" [{row[part]['low']:+.3f}, {row[part]['high']:+.3f}]"
            cells.append(text)
        lines.append(f"| {row['data']} | {row['model']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=TASKS, default=["retail", "books"])
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help="all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="retail, one seed, two rows")
    parser.add_argument("--validation", action="store_true", help="measure on a validation split")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--page", action="store_true", help="write the table into docs/features.md")
    arguments = parser.parse_args()
    if arguments.page and (arguments.quick or arguments.validation):
        parser.error("--page needs the whole benchmark; leave out --quick and --validation")
    rows = []
    for data in ["retail"] if arguments.quick else arguments.data:
        names = arguments.rows or list(QUICK if arguments.quick else ROWS)
        seeds = 1 if arguments.quick else arguments.seeds
        rows += measured(data, names, seeds, arguments.validation)
    print(markdown(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if arguments.page:
        write_between(ROOT / "docs" / "features.md", "semantic ids", markdown(rows))


if __name__ == "__main__":
    main()
