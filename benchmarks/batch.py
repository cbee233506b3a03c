"""Batch recommendation to all users of an export, against the evaluation of the same model.

    python benchmarks/batch.py [--data retail] [--k 10] [--rounds 3] [--json F]

Trains TwoTower with its defaults for one epoch on retail (temporal split), exports it with the
training events, and prints users per second of `evaluate` over the full catalogue, with and without
slices, and of `Recommender.recommend_all` for all stored users, file included. The rounds
alternate; the medians are printed.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from retrievals.data import split_of

from tfrec_fusion._compat import keras
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.models import TwoTower
from tfrec_fusion.optimizers import adam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="retail")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    split = split_of(options.data, "temporal")
    keras.utils.set_random_seed(0)
    batches = split.train.batches(512)
    model = TwoTower(split.train, vectors=["text"])
    model.compile(adam(3e-3, steps=len(batches)))
    model.fit(batches, epochs=1, verbose=0)
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        recommender = Recommender(export(model, split.train, base / "shop", deployment=False))

        def evaluated(**more) -> int:
            evaluate(model, split, bootstrap=0, **more)
            return len(split.targets()[0])

        def recommended() -> int:
            out = base / "recs.parquet"
            return recommender.recommend_all(out, k=options.k, progress=False).users

        contenders = {
            "evaluate": evaluated,
            "evaluate, total only": lambda: evaluated(slices=False),
            f"recommend_all, k {options.k}": recommended,
        }
        for _ in range(options.rounds + 1):
            for name, run in contenders.items():
                begin = time.perf_counter()
                users = run()
                rates.setdefault(name, []).append(users / (time.perf_counter() - begin))
    medians = {name: statistics.median(values[1:]) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{options.data}: {name}: {rate:,.0f} users/s")
    if options.json:
        options.json.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
