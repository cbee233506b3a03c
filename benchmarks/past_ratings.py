"""What the ratings of past events are worth on movies: likes alone, and histories of all ratings.

    python benchmarks/past_ratings.py [--seeds 2] [--page]

Ratings of 4 and more are likes, a fifth of which are the test events, one random split for all
rows; the rest and all lower ratings are training events. Targets are likes alone: lower ratings
have a weight of 0, which makes them history alone. Candidates of every row are the whole catalogue
less all that the user rated in training. In the control the ratings shown to the model are
shuffled among all events. A `TwoTower` of 64 columns without texts or times, 40 epochs of
autoencoder examples; nothing is tuned. Intervals are 95 % paired bootstraps over users of their
mean over seeds. `--page` writes the table into docs/features.md. Data is read from
TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from markers import write_between

import tfrec_fusion as tff
from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.features import Features, Number, State

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "features.md"
EPOCHS = 40
RATED = Features(event=[Number(column="shown")])
ARMS = {
    "likes": Features(),
    "all ratings": Features(),
    "all ratings, told apart": RATED,
    "all ratings, shuffled": RATED,
}


class Masked:
    """A model of some events whose candidates lack all that a user rated in training."""

    def __init__(self, name: str, model, fitted: Interactions, rated: Interactions):
        self.name, self._model, self._fitted, self._rated = name, model, fitted, rated

    def scorer(self, state: State):
        inner, rated = self._model.scorer(State.of(self._fitted)), self._rated.histories()

        def scores(users: np.ndarray) -> np.ndarray:
            found = np.array(inner(users))
            for row, user in enumerate(users):
                found[row, rated.of(user)] = np.finfo(np.float32).min
            return found

        return scores


def ndcg(arm: str, frame: pd.DataFrame, catalogue: Catalogue, seed: int) -> np.ndarray:
    """NDCG@10 of each user."""
    shown = frame["rating"].to_numpy()
    if arm.endswith("shuffled"):
        shown = np.random.default_rng(seed).permutation(shown)
    table = frame.assign(shown=shown, weight=(frame["rating"] >= 4).astype(float))
    events = Interactions.from_frame(table, catalogue, min_rating=0.5)
    likes, test = np.flatnonzero(frame["rating"] >= 4), np.zeros(len(frame), bool)
    test[np.random.default_rng(0).choice(likes, len(likes) // 5, replace=False)] = True
    rated = events.select(~test)
    fitted = rated.select(rated.weight > 0) if arm == "likes" else rated
    keras.utils.set_random_seed(seed)
    model = tff.models.TwoTower(fitted, dim=64, features=ARMS[arm])
    side = model.spec.event_side
    batches = fitted.batches(128, examples="autoencoder", seed=seed, event_side=side)
    model.compile(tff.optimizers.adam(3e-3, steps=EPOCHS * len(batches)))
    model.fit(batches, epochs=EPOCHS, verbose=0)
    split = Split(rated, events.select(test), "random", None)
    report = evaluate(Masked(arm, model, fitted, rated), split, slices=False, bootstrap=0)
    return report.per_user["ndcg@10"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
    frame = pd.read_parquet(
        folder / "movies" / "interactions.parquet", columns=["user_id", "item_id", "rating"]
    )
    items = pd.read_parquet(folder / "movies" / "items.parquet", columns=["item_id"])
    catalogue, found = Catalogue(items), {arm: [] for arm in ARMS}
    for seed in range(arguments.seeds):
        for arm in ARMS:
            found[arm].append(ndcg(arm, frame, catalogue, seed))
            print(seed, arm, f"{found[arm][-1].mean():.4f}", flush=True)
    lines = ["| histories of | NDCG@10 | against likes |", "| --- | ---: | ---: |"]
    for arm, of_seeds in found.items():
        mine, others, against = np.mean(of_seeds, 0), np.mean(found["likes"], 0), ""
        if arm != "likes":
            pair = paired_bootstrap(mine, others)
            against = f"{pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]"
        lines.append(f"| {arm} | {mine.mean():.3f} | {against} |")
    print("\n".join(lines))
    if arguments.page:
        write_between(PAGE, "past ratings table", "\n".join(lines))


if __name__ == "__main__":
    main()
