"""What a stack adds to its members on retail.

    python benchmarks/stack.py [--seeds 3] [--folds 6] [--json FILE] [--page]

The temporal split of the last tenth. The members are a two-tower with its defaults, EASE with text,
decay and trend, recent popularity and the whitened text mean; their options were chosen on the
validation period. It prints whether the stack is better there, and measures it in any case.
Intervals are 95 % paired bootstraps over users against the two-tower, pooled over the seeds.
`--page` writes the table into docs/blend.md. Data is read from TFREC_FUSION_DATA, else
../shared/data.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from markers import write_between
from retrievals.data import split_of
from retrievals.rows import TREND

import tfrec_fusion as tff
from tfrec_fusion._compat import keras
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.models.classic import EASE, RecentPopularity, TextMean
from tfrec_fusion.training import choose_stack

PAGE = Path(__file__).resolve().parents[1] / "docs" / "blend.md"


def two_tower(train, seed):
    keras.utils.set_random_seed(seed)
    model = tff.models.TwoTower(train, vectors=["text"])
    batches = train.batches(512, seed=seed)
    model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
    model.fit(batches, epochs=2, verbose=0)
    return model


def factories(seed):
    return {
        "two_tower": lambda train: two_tower(train, seed),
        "ease": lambda train: EASE(**TREND).fit(train),
        "recent": lambda train: RecentPopularity().fit(train),
        "text": lambda train: TextMean().fit(train),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true", help="write the table into docs/blend.md")
    arguments = parser.parse_args()
    split, reports, validation, seconds = split_of("retail", "temporal", 0), {}, [], []
    for seed in range(arguments.seeds):
        begin = time.perf_counter()
        choice = choose_stack(
            factories(seed), split, folds=arguments.folds, seed=seed, cold="two_tower"
        )
        print(f"seed {seed}, validation, better: {choice.better}\n{choice.table}", flush=True)
        validation.append(choice.table.to_dict("records"))
        model = choice.fit_stack(split.train)
        seconds.append(time.perf_counter() - begin)
        for name, one in {**model.members, "stack": model}.items():
            reports.setdefault(name, []).append(evaluate(one, split, bootstrap=0))
            metrics = reports[name][-1].metrics
            print(seed, name, metrics["total"], metrics["cold"]["ndcg@10"], flush=True)
    lines = [
        "| retail | NDCG@10 | Recall@20 | cold NDCG@10 | NDCG@10 against the two-tower |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in reports.items():
        cells = [
            f"{np.mean(values):.4f} ± {np.std(values, ddof=min(1, len(values) - 1)):.4f}"
            for values in (
                [one.metrics[part][metric] for one in found]
                for part, metric in (
                    ("total", "ndcg@10"),
                    ("total", "recall@20"),
                    ("cold", "ndcg@10"),
                )
            )
        ]
        against = ""
        if name != "two_tower":
            mine, others = (
                np.concatenate([one.per_user["ndcg@10"] for one in every])
                for every in (found, reports["two_tower"])
            )
            pair = paired_bootstrap(mine, others)
            against = f"{pair.difference:+.4f} [{pair.low:+.4f}, {pair.high:+.4f}]"
        lines.append(f"| {name.replace('_', '-')} | {' | '.join(cells)} | {against} |")
    table = "\n".join(lines)
    print(f"{table}\nseconds to choose and train: {[round(one) for one in seconds]}")
    if arguments.page:
        write_between(PAGE, "stack", table)
    if arguments.json:
        figures = {name: [one.metrics for one in found] for name, found in reports.items()}
        arguments.json.write_text(
            json.dumps({"test": figures, "validation": validation, "seconds": seconds}, indent=2)
        )


if __name__ == "__main__":
    main()
