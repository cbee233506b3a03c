"""Losses over lists with graded labels: a small network on queries with judged documents.

    python benchmarks/ltr.py [--seeds 5] [--folds] [--page]

LightGBM's own example of ranking: 201 training and 50 test queries of about 15 documents each, with
218 features and labels 0 to 4. All losses train the same plain network on padded lists of a batch,
with the settings below, which are the best of a few for the mean of all losses over five folds of
the training queries (`--folds` shows their NDCG). The metric is NDCG@10 with the gain 2^l - 1, mean
over the test queries and the seeds. With 50 queries, differences below .03 are noise. `--page`
writes the table into docs/ranking.md. Data is read from TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from markers import write_between

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.metrics import ndcg_of_lists
from tfrec_fusion.models import (
    BCE,
    BPR,
    CatalogueSoftmax,
    Focal,
    LambdaRank,
    ListMLE,
    PairwiseHinge,
)

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
PAGE = ROOT / "docs" / "ranking.md"
LOSSES = {
    "`bce`": BCE,
    "`focal`": Focal,
    "`softmax`": CatalogueSoftmax,
    "`bpr`": BPR,
    "`hinge`": PairwiseHinge,
    "`list_mle`": ListMLE,
    "`lambda_rank`": LambdaRank,
    "`lambda_rank`, k 10": lambda: LambdaRank(k=10),
    "`lambda_rank`, mu 10": lambda: LambdaRank(mu=10.0),
}
HIDDEN, DROPOUT, RATE, EPOCHS, BATCH = [32], 0.5, 3e-3, 20, 16


class Lists:
    """Queries as padded lists: features `[Q, N, F]`, 0 in the padding, and labels, NaN there."""

    def __init__(self, frame: pd.DataFrame, scaled: np.ndarray):
        query = frame["query_id"].to_numpy()
        self.query = np.unique(query, return_inverse=True)[1]
        place = frame.groupby("query_id").cumcount().to_numpy()
        shape = self.query.max() + 1, place.max() + 1
        self.where = self.query, place
        self.labels = np.full(shape, np.nan, np.float32)
        self.features = np.zeros((*shape, scaled.shape[1]), np.float32)
        self.labels[self.where], self.features[self.where] = frame["label"], scaled

    def part(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.features[queries], self.labels[queries]


def read() -> tuple[Lists, Lists]:
    """Training and test queries, standardised as the training queries are."""
    frame = pd.read_parquet(DATA / "ltr_small" / "ltr.parquet")
    columns = [name for name in frame if name.startswith("f")]
    train, test = (frame[frame["split"] == part] for part in ("train", "test"))
    logs = [np.log1p(part[columns].to_numpy(np.float32)) for part in (train, test)]
    mean, deviation = logs[0].mean(0), logs[0].std(0) + 1e-6
    train, test = (
        Lists(part, (values - mean) / deviation)
        for part, values in zip((train, test), logs, strict=True)
    )
    return train, test


def fitted(loss, features: np.ndarray, labels: np.ndarray, seed: int, **options):
    """A network that is trained on lists."""
    options = {"hidden": HIDDEN, "dropout": DROPOUT, "rate": RATE, "epochs": EPOCHS} | options
    keras.utils.set_random_seed(seed)
    x = entered = keras.Input([None, features.shape[2]])
    for units in options["hidden"]:
        x = keras.layers.Dense(units, "relu")(x)
        x = keras.layers.Dropout(options["dropout"])(x)
    model = keras.Model(entered, keras.layers.Dense(1)(x)[..., 0])
    batches = tf.data.Dataset.from_tensor_slices((features, labels))
    batches = batches.shuffle(len(labels), seed=seed).batch(BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(
        options["rate"], options["epochs"] * len(batches)
    )
    model.compile(keras.optimizers.Adam(schedule), loss)
    model.fit(batches, epochs=options["epochs"], verbose=0)
    return model


def ndcg(model, features: np.ndarray, labels: np.ndarray) -> float:
    scores, known = model(features).numpy(), ~np.isnan(labels)
    query = np.broadcast_to(np.arange(len(labels))[:, None], labels.shape)
    return ndcg_of_lists(query[known], labels[known], scores[known], k=10)


def in_folds(loss, train: Lists, folds: int = 5, **options) -> float:
    """The mean NDCG@10 of the held-out fold of the training queries."""
    fold = np.random.default_rng(0).permutation(len(train.labels)) % folds
    found = []
    for held in range(folds):
        model = fitted(loss(), *train.part(fold != held), seed=held, **options)
        found.append(ndcg(model, *train.part(fold == held)))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    train, test = read()
    lines = ["| loss | NDCG@10 | of training |", "|---|---:|---:|"]
    for name, loss in LOSSES.items():
        if arguments.folds:
            print(name, f"{in_folds(loss, train):.3f}", flush=True)
            continue
        found, started = [], time.perf_counter()
        for seed in range(arguments.seeds):
            model = fitted(loss(), train.features, train.labels, seed)
            found.append(ndcg(model, test.features, test.labels))
        seconds = (time.perf_counter() - started) / arguments.seeds
        spread = np.std(found, ddof=1) if len(found) > 1 else np.nan
        lines.append(f"| {name} | {np.mean(found):.3f} ± {spread:.3f} | {seconds:.0f} s |")
        print(lines[-1], flush=True)
    if arguments.page:
        write_between(PAGE, "ltr", "\n".join(lines))


if __name__ == "__main__":
    main()
