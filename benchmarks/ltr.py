"""Losses over lists with graded labels: a small network on queries with judged documents.

    python benchmarks/ltr.py [--seeds 5] [--folds | --clicks] [--page]

LightGBM's own example of ranking: 201 training and 50 test queries of about 15 documents each, with
218 features and labels 0 to 4. All losses train the same plain network on padded lists of a batch,
with the settings below, which are the best of a few for the mean of all losses over five folds of
the training queries (`--folds` shows their NDCG). The metric is NDCG@10 with the gain 2^l - 1, mean
over the test queries and the seeds. With 50 queries, differences below .03 are noise.

`--clicks` trains on simulated clicks instead of labels, by softmax. A weak ranker, a ridge
regression on one query and ten of the features, shows each training query 400 times, with Gumbel
noise of half the deviation of its scores. Users look at rank k with probability 1/k, and click what
they look at with probability .1 + .9 (2^l - 1) / 15. Clicks of a document are summed, each with its
inverse propensity weight. Each seed has another ranker and other clicks.

`--page` writes the table into docs/ranking.md. Data is read from TFREC_FUSION_DATA, else
../shared/data.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from markers import write_between
from sklearn.linear_model import Ridge

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
from tfrec_fusion.training import (
    examination_propensities,
    gain_labels,
    inverse_propensity_weights,
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


class Clicks:
    """A log of clicks under a weak ranker, in rows: pair (a document of a query), rank, clicked."""

    sessions, noise = 400, 0.5

    def __init__(self, train: Lists, seed: int):
        rng = np.random.default_rng(seed)
        self.known = ~np.isnan(train.labels)
        self.features, labels = train.features[self.known], train.labels[self.known]
        query = np.nonzero(self.known)[0]
        shown = query == rng.integers(len(train.labels))
        columns = rng.choice(self.features.shape[1], 10, replace=False)
        ranker = Ridge(300.0).fit(self.features[shown][:, columns], labels[shown])
        scores = np.full(self.known.shape, -np.inf)
        scores[self.known] = ranker.predict(self.features[:, columns])
        scores /= scores[self.known].std()
        wanted = 0.1 + 0.9 * (2**labels - 1) / 15
        ranks, clicks = [], []
        for _ in range(self.sessions):
            noisy = scores + self.noise * rng.gumbel(size=scores.shape)
            rank = np.argsort(np.argsort(-noisy, 1), 1)[self.known] + 1
            ranks.append(rank)
            clicks.append(rng.random(len(rank)) < wanted / rank)
        self.rank, self.click = np.concatenate(ranks), np.concatenate(clicks)
        self.pair = np.tile(np.arange(len(labels)), self.sessions)

    def labels(self, propensities: np.ndarray | None) -> np.ndarray:
        """Weighted clicks of each document as gains, `[Q, N]`; None weights all alike."""
        weights = self.click.astype(float)
        if propensities is not None:
            weights *= inverse_propensity_weights(self.rank, propensities)
        found = np.full(self.known.shape, np.nan, np.float32)
        found[self.known] = gain_labels(np.bincount(self.pair, weights))
        return found

    def propensities(self) -> dict[str, np.ndarray | None]:
        log = self.pair, self.rank, self.click
        return {
            "clicks": None,
            "clicks / true propensities": 1 / np.arange(1, self.rank.max() + 1),
            "clicks / estimated, a relevance a document": examination_propensities(*log),
            "clicks / estimated, relevance by features": examination_propensities(
                *log, features=self.features
            ),
        }


def of_clicks(train: Lists, test: Lists, seeds: int) -> list[str]:
    """The table of `--clicks`."""
    found: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    for seed in range(seeds):
        log = Clicks(train, seed)
        true = 1 / np.arange(1, log.rank.max() + 1)
        labels = {}
        for name, theta in log.propensities().items():
            labels[name] = log.labels(theta)
            if theta is not None:
                errors.setdefault(name, []).append(float(np.abs(theta - true)[:10].max()))
        labels["true labels"] = train.labels
        for name, one in labels.items():
            model = fitted(CatalogueSoftmax(), train.features, one, seed)
            found.setdefault(name, []).append(ndcg(model, test.features, test.labels))
            print(seed, name, f"{found[name][-1]:.3f}", flush=True)
    lines = [
        "| trained on | NDCG@10 | largest error of a propensity, ranks 1 to 10 |",
        "|---|---:|---:|",
    ]
    for name, values in found.items():
        error = f"{np.mean(errors[name]):.3f}" if name in errors else ""
        spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
        lines.append(f"| {name} | {np.mean(values):.3f} ± {spread:.3f} | {error} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", action="store_true")
    parser.add_argument("--clicks", action="store_true")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    train, test = read()
    if arguments.clicks:
        lines = of_clicks(train, test, arguments.seeds)
        print("\n".join(lines))
        if arguments.page:
            write_between(PAGE, "clicks", "\n".join(lines))
        return
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
