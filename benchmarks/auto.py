"""What `auto` chooses, beside the best other models of its validation, on the test events.

    python benchmarks/auto.py --folder KEPT [--data retail movies ...] [--seeds 0 1 2]
        [--variants whole 5 100 noise] [--budget 15m] [--wheel recbole-1.2.1-py3-none-any.whl]

For each data set `auto` chooses on the training events. Its choice, the best other single model of
its validation (the runner-up) and the best classic one are fitted on all training events and tested
once. Variants: a sample of the users with 5 events an item; the most popular items, with 100 events
each in the mean; random vectors in the place of the texts', a control. Intervals are 95 % paired
bootstraps over users, and the seeds are those of `auto`: of its validation part, trainings and
heads. Finished rows in the folder are not computed again. Data is read from TFREC_FUSION_DATA, else
../shared/data.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from retrievals.cells import peak_mb, unseen
from retrievals.data import TASKS, WORDS, absent, read_task, texts

import tfrec_fusion as tff
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.embeddings import LexicalEncoder
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.files import new_file
from tfrec_fusion.training import RunConfig
from tfrec_fusion.training.choosing import candidate_configs
from tfrec_fusion.training.recipes import trained_model

VARIANTS = ("whole", "5", "100", "noise")


def read(data: str, wheel: Path | None, folder: Path) -> Split:
    task, words = TASKS[data], folder / f"{data}.npy"
    if WORDS in task.stores and not words.is_file():
        found = texts(data, wheel)
        np.save(words, LexicalEncoder().fit(found).encode(found))
    return read_task(data, task.stores, words, wheel)


def varied(split: Split, variant: str, seed: int) -> Split:
    """The split of a variant, see the module; noise is put into the split's own catalogue."""
    generator = np.random.default_rng(seed)
    train, test = split.train, split.test
    if variant == "noise":
        catalogue = train.catalogue
        noise = {
            name: generator.standard_normal(store.values.shape, np.float32)
            for name, store in catalogue.vectors.items()
        }
        catalogue.vectors = Catalogue(catalogue.frame, vectors=noise).vectors
        return split
    counts = train.item_counts()
    if variant == "5":
        share = 5 * np.count_nonzero(counts) / counts.sum()
        kept = generator.random(len(train.users)) < share
        return replace(split, train=train.select(kept[train.user]), test=_of(test, kept))
    order = np.argsort(-counts, kind="stable")
    means = np.cumsum(counts[order]) / np.arange(1, len(order) + 1)
    popular = np.zeros(len(counts), bool)
    popular[order[: max(1, np.count_nonzero(means >= 100))]] = True
    return replace(
        split, train=train.select(popular[train.item]), test=test.select(popular[test.item])
    )


def _of(test: Interactions, kept: np.ndarray) -> Interactions:
    return test.select((test.user >= 0) & kept[test.user])


def measured(data: str, variant: str, seed: int, arguments, folder: Path) -> dict:
    split = read(data, arguments.wheel, folder)
    split = split if variant == "whole" else varied(split, variant, seed)
    began = time.perf_counter()
    found = tff.auto(unseen(split), time_budget=arguments.budget, seed=seed)
    seconds = time.perf_counter() - began
    values = {"data": {"interactions": "", "items": ""}, "split": {"kind": split.kind}}
    config = RunConfig.of(values | {"model": {"kind": "auto"}, "seed": seed}, "auto")
    configs = candidate_configs(config, split)
    tried = {
        trial.name: trial.report.metrics["total"]["ndcg@10"]
        for trial in found.trials
        if trial.report is not None
    }
    single = [name for name in sorted(tried, key=lambda name: -tried[name]) if name in configs]
    others = {"runner-up": next(name for name in single if name != found.name)}
    others["best classic"] = next(name for name in single if not configs[name].by_gradient)
    row = {"data": data, "variant": variant, "seed": seed, "chosen": found.name}
    row |= {"reason": found.reason, "validation": tried, "seconds": seconds, "peak_mb": peak_mb()}
    report = evaluate(found.model, split, bootstrap=0)
    row["auto"] = report.metrics
    for label, name in others.items():
        model = trained_model(configs[name].resolved(split.train), split.train)
        other = evaluate(model, split, bootstrap=0)
        pair = paired_bootstrap(report.per_user["ndcg@10"], other.per_user["ndcg@10"])
        row[label] = {"name": name, "metrics": other.metrics, "auto minus it": pair[:3]}
    return row


def line(row: dict) -> str:
    total, cold = row["auto"]["total"], row["auto"].get("cold", {}).get("ndcg@10", float("nan"))
    parts = [
        f"{row['data']}, {row['variant']}, seed {row['seed']}: {row['chosen']}: "
        f"NDCG@10 {total['ndcg@10']:.4f}, Recall@20 {total['recall@20']:.4f}, cold {cold:.4f}"
    ]
    for label in ("runner-up", "best classic"):
        one, (difference, low, high) = row[label], row[label]["auto minus it"]
        parts.append(
            f"{label} {one['name']} {one['metrics']['total']['ndcg@10']:.4f}: "
            f"{difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        )
    return f"{'; '.join(parts)}; {row['seconds']:.0f} s, {row['peak_mb']:,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["whole"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", default="15m")
    parser.add_argument("--wheel", type=Path, help="of RecBole, for ml-100k")
    parser.add_argument("--folder", type=Path, required=True, help="keeps vectors and the rows")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    kept = arguments.folder / "rows.json"
    rows = json.loads(kept.read_text()) if kept.is_file() else []
    for data in arguments.data:
        if reason := absent(data, arguments.wheel):
            print(f"{data}: left out: {reason}", flush=True)
            continue
        for variant in arguments.variants:
            for seed in arguments.seeds:
                key = (data, variant, seed)
                row = next((r for r in rows if (r["data"], r["variant"], r["seed"]) == key), None)
                if row is None:
                    row = measured(*key, arguments, arguments.folder)
                    rows.append(row)
                    with new_file(kept) as file:
                        file.write((json.dumps(rows, indent=1) + "\n").encode())
                print(line(row), flush=True)


if __name__ == "__main__":
    main()
