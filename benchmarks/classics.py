"""Classic models beside those of implicit, RecTools and RecBole, on the same training events.

    python benchmarks/classics.py --peer-python PYTHON [--seeds 3] [--only NAME ...] [--json FILE]
    python benchmarks/classics.py --peer-python PYTHON --exact

Data: movies, ratings of 4 and more, a random fifth as test; the data has its own README and is read
from TFREC_FUSION_DATA, else ../shared/data. Both sides have the same options, in the terms of each,
and are scored by the same evaluation. `--exact` compares the scores of the exact algorithms one by
one, on generated events and with all neighbours: with fewer, ties for the last place fall to
different items. PYTHON has the packages of requirements-peers-classic.txt.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from retrievals.peers import Given, peer_scores, write_pairs

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import EASE, IALS, ItemKNN, LightGCN

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
# implicit counts an item among its own K neighbours, so its K is one more.
KNN = {"model": "implicit_item_knn", "K": 101, "of": "candidate"}
GCN = {"embedding_size": 64, "n_layers": 2, "learning_rate": 0.01, "train_batch_size": 4096}
CASES = {
    "item-kNN, cosine": (
        "implicit",
        lambda seed: ItemKNN(k=100),
        lambda seed: {**KNN, "kind": "CosineRecommender"},
    ),
    "item-kNN, TF-IDF": (
        "implicit",
        lambda seed: ItemKNN(k=100, similarity="tf_idf"),
        lambda seed: {**KNN, "kind": "TFIDFRecommender"},
    ),
    "item-kNN, BM25": (
        "implicit",
        lambda seed: ItemKNN(k=100, similarity="bm25"),
        lambda seed: {**KNN, "kind": "BM25Recommender"},
    ),
    "item-kNN, cosine; implicit's own sums": (
        "implicit",
        lambda seed: ItemKNN(k=100),
        lambda seed: {**KNN, "kind": "CosineRecommender", "of": "history"},
    ),
    "item-kNN, shrinkage 10": (
        "RecBole",
        lambda seed: ItemKNN(k=100, shrinkage=10.0),
        lambda seed: {"model": "recbole_item_knn", "k": 100, "shrink": 10},
    ),
    "EASE": (
        "RecTools",
        lambda seed: EASE(l2=200.0),
        lambda seed: {"model": "rectools_ease", "regularization": 200.0},
    ),
    # Confidence 11 is 1 / (11 - 1) of all pairs, and its regularisation is 11 times ours.
    "iALS": (
        "implicit",
        lambda seed: IALS(
            dim=64, epochs=15, unobserved_weight=0.1, l2=5.0, l2_exponent=0.0, seed=seed
        ),
        lambda seed: {
            "model": "implicit_als",
            "factors": 64,
            "iterations": 15,
            "alpha": 11.0,
            "regularization": 55.0,
            "random_state": seed,
        },
    ),
    "LightGCN": (
        "RecBole",
        lambda seed: LightGCN(epochs=50, seed=seed),
        lambda seed: {
            "model": "recbole_light_gcn",
            **GCN,
            "epochs": 50,
            "reg_weight": 1e-3,
            "require_pow": True,
            "seed": seed,
        },
    ),
}
_ALL = {"model": "implicit_item_knn", "K": 300, "of": "candidate"}
EXACT = {
    "item-kNN, cosine": (ItemKNN(k=300), {**_ALL, "kind": "CosineRecommender"}),
    "item-kNN, TF-IDF": (
        ItemKNN(k=300, similarity="tf_idf"),
        {**_ALL, "kind": "TFIDFRecommender"},
    ),
    "item-kNN, BM25": (ItemKNN(k=300, similarity="bm25"), {**_ALL, "kind": "BM25Recommender"}),
    "item-kNN, shrinkage 10": (
        ItemKNN(k=300, shrinkage=10.0),
        {"model": "recbole_item_knn", "k": 300, "shrink": 10},
    ),
    "EASE": (EASE(l2=20.0), {"model": "rectools_ease", "regularization": 20.0}),
}
SEEDED = ("iALS", "LightGCN")


def split_of():
    items = Catalogue.from_parquet(DATA / "movies" / "items.parquet")
    path = DATA / "movies" / "interactions.parquet"
    return Interactions.from_parquet(path, items, min_rating=4).split("random")


def generated() -> Interactions:
    """Returns events of 200 users with 300 items, some popular."""
    rng, weight = np.random.default_rng(0), 1 / np.arange(1, 301) ** 0.7
    rows = {
        (f"u{user}", f"i{item}")
        for user in range(200)
        for item in rng.choice(300, rng.integers(5, 60), p=weight / weight.sum())
    }
    frame = pd.DataFrame(sorted(rows), columns=["user_id", "item_id"])
    items = pd.DataFrame({"item_id": [f"i{item}" for item in range(300)]})
    return Interactions.from_frame(frame, Catalogue(items))


def exact(python: str) -> None:
    """Prints the largest relative difference of the scores of unseen items."""
    events = generated()
    matrix, users = events.matrix(), np.arange(len(events.users))
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.npz"
        write_pairs(events, pairs)
        for name, (model, options) in EXACT.items():
            ours = model.fit(events).scorer(State.of(events))(users)
            theirs = peer_scores(python, pairs, options, Path(folder))["scores"]
            difference = largest_difference(ours, theirs, matrix) / np.abs(ours).max()
            print(f"{name}: largest difference {difference:.1e} of the largest score", flush=True)


def figures(model, split) -> list[float]:
    total = evaluate(model, split, bootstrap=0).metrics["total"]
    return [total["recall@20"], total["ndcg@10"]]


def largest_difference(ours: np.ndarray, theirs: np.ndarray, seen) -> float:
    """The largest difference over all pairs without a training event."""
    difference = np.abs(ours - theirs)
    difference[seen.nonzero()] = 0
    return float(difference.max())


def described(rows: list[list[float]], seconds: list[float]) -> list[str]:
    return [cell(rows, 0), cell(rows, 1), f"{np.median(seconds):.1f}"]


def cell(rows: list[list[float]], column: int) -> str:
    values = np.array(rows)[:, column]
    text = f"{values.mean():.4f}"
    return text if len(values) == 1 else f"{text} ± {values.std(ddof=1):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--peer-python", default=os.environ.get("TFREC_PEER_PYTHON", sys.executable)
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--exact", action="store_true", help="compare scores one by one")
    arguments = parser.parse_args()
    if arguments.exact:
        return exact(arguments.peer_python)
    split = split_of()
    rows = []
    print("| model | R@20 | N@10 | s | peer | R@20 | N@10 | s |")
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.npz"
        write_pairs(split.train, pairs)
        for name in arguments.only:
            peer, make, options = CASES[name]
            ours, theirs, seconds, peer_seconds = [], [], [], []
            for seed in range(arguments.seeds if name in SEEDED else 1):
                start = time.perf_counter()
                model = make(seed).fit(split.train)
                seconds.append(time.perf_counter() - start)
                ours.append(figures(model, split))
                found = peer_scores(arguments.peer_python, pairs, options(seed), Path(folder))
                peer_seconds.append(float(found["seconds"]))
                theirs.append(figures(Given(peer, found["scores"]), split))
            rows.append({"model": name, "peer": peer, "ours": ours, "theirs": theirs})
            rows[-1] |= {"seconds": seconds, "peer_seconds": peer_seconds}
            sides = [name, *described(ours, seconds), peer, *described(theirs, peer_seconds)]
            print(f"| {' | '.join(sides)} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
