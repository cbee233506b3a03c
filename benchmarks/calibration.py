"""What calibrating a ranker is worth on a later period, real data.

    python benchmarks/calibration.py [--page]

Retail: a small ranker is trained on the events until T1 for one epoch, with 4 sampled negatives for
each; calibrations are fitted on the events between T1 and T2, and judged on those after T2, both
beside 10 sampled negatives, so that the share of positives is 1/11 where training had 1/5. Features
are as of the start of each period. ECE is of 15 bins with equally many rows; intervals are 95 %
bootstraps over users of the difference to the ranker without a calibration. Slices are as in
`evaluate_ranker`, and by the country of the user's event. `--page` writes the table into
docs/ranking.md. Data is read from TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from markers import write_between
from ranker import DATA
from scipy.special import expit

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.evaluation.bootstrap import interval, resamples
from tfrec_fusion.evaluation.ranking_report import tested_pairs
from tfrec_fusion.evaluation.slices import item_slices, rare_items, user_slices
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Category, Features
from tfrec_fusion.models import Ranker
from tfrec_fusion.models.calibration.slices import slice_codes
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY
from tfrec_fusion.training import calibrate

PAGE = Path(__file__).resolve().parents[1] / "docs" / "ranking.md"
METHODS = {
    "none": None,
    "temperature": {"method": "temperature"},
    "platt": {"method": "platt"},
    "isotonic": {"method": "isotonic"},
    "isotonic, by warm": {"method": "isotonic", "by": "warm"},
    "isotonic, by popularity": {"method": "isotonic", "by": "popularity"},
    "platt, by country": {"method": "platt", "by": "country"},
}
NEGATIVES, TRAINED_NEGATIVES, BINS, LEAST = 10, 4, 15, 500


def trained(train, seed: int) -> Ranker:
    keras.utils.set_random_seed(seed)
    recent = train.select(train.timestamp >= train.timestamp.max() - 180 * DAY)
    features = Features(context=[Category(column="country")])
    model = Ranker(train, dim=16, hidden=[32], features=features)
    batches = ranking_examples(
        recent,
        1024,
        known=train,
        negatives=TRAINED_NEGATIVES,
        context_side=model.spec.context_side,
        seed=seed,
    )
    model.compile(adam(2e-3, steps=len(batches)))
    model.fit(batches, verbose=0)
    return model


class Rows:
    """The pairs after T2: users, labels and slices of rows, and the batches."""

    def __init__(self, model, split):
        self.batches = list(tested_pairs(model, split, NEGATIVES, seed=1))
        user = np.concatenate([np.repeat(b["user"], 1 + NEGATIVES) for b in self.batches])
        item = self.flat("item")
        self.label = self.flat("label") > 0
        self.logit = self.of(model)
        self.user = np.unique(user, return_inverse=True)[1]
        matrix = split.train.matrix()
        warm = item_slices(matrix)["warm"][item]
        groups = {"total": np.ones(len(item), bool), "warm items": warm, "cold items": ~warm}
        groups["rare items"] = rare_items(matrix)[item]
        groups |= {name: of_users[user] for name, of_users in user_slices(matrix).items()}
        codes = np.concatenate(
            [np.ravel(slice_codes(model, "country", batch)) for batch in self.batches]
        )
        names = model.spec.context_side.features[0].vocabulary
        groups |= {text: codes == 1 + row for row, text in enumerate(names)}
        self.groups = {name: one for name, one in groups.items() if one.sum() >= LEAST}

    def flat(self, name: str) -> np.ndarray:
        return np.concatenate([np.ravel(batch[name]) for batch in self.batches])

    def of(self, model) -> np.ndarray:
        return np.concatenate([np.ravel(model.predict_on_batch(b)) for b in self.batches])

    def calibrated(self, model) -> np.ndarray:
        """Calibrated logits `[n]`."""
        one = model.calibration
        codes = None
        if one.by is not None:
            codes = [np.ravel(slice_codes(model, one.by, batch)) for batch in self.batches]
        return one.logits(self.logit, None if codes is None else np.concatenate(codes)).numpy()

    def excesses(self, logit: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Labels minus probabilities, summed over each user's rows of a bin: `[users, bins]`."""
        logit = logit[chosen].astype(np.float64)
        edges = np.quantile(logit, np.arange(1, BINS) / BINS)
        cell = self.user[chosen] * BINS + np.searchsorted(edges, logit, side="right")
        excess = self.label[chosen] - expit(logit)
        users = self.user.max() + 1
        return np.bincount(cell, excess, minlength=users * BINS).reshape(users, BINS)


def ece(rows: Rows, logit, chosen, drawn: list[np.ndarray]) -> tuple[float, np.ndarray]:
    """The ECE of a slice, and those of resamples of the users."""
    excess = rows.excesses(logit, chosen)
    counts = np.bincount(rows.user[chosen], minlength=len(excess)).astype(float)
    samples = [np.abs(one @ excess).sum(1) / np.maximum(one @ counts, 1) for one in drawn]
    return np.abs(excess.sum(0)).sum() / counts.sum(), np.concatenate(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = DATA / "retail"
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    split = Interactions.from_parquet(folder / "interactions.parquet", catalogue).split("temporal")
    part = split.validation()
    started = time.perf_counter()
    model = trained(part.train, arguments.seed)
    print(f"trained in {time.perf_counter() - started:.0f} s", flush=True)
    rows = Rows(model, split)
    drawn = list(resamples(int(rows.user.max()) + 1, 1000, 0))
    shown = ["total", "warm items", "cold items", "rare items", "new users", "old users"]
    shown = [name for name in shown if name in rows.groups]
    lines = [
        f"| calibration | {' | '.join(shown)} | worst country | slices that rise |",
        "|---|" + "---:|" * (len(shown) + 1) + "---|",
    ]
    plain = {}
    for name, options in METHODS.items():
        logit = rows.logit
        if options is not None:
            calibrate(model, part, **options, negatives=NEGATIVES, progress=False)
            logit = rows.calibrated(model)
        found, rises = {}, []
        for label, chosen in rows.groups.items():
            value, samples = ece(rows, logit, chosen, drawn)
            found[label] = value
            plain.setdefault(label, (value, samples))
            if interval(samples - plain[label][1])[0] > 0:
                rises.append(label)
        countries = [value for label, value in found.items() if label not in shown]
        cells = [f"{found[label]:.4f}" for label in shown] + [f"{max(countries):.4f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {', '.join(rises)} |")
        print(lines[-1], flush=True)
    print({label: int(one.sum()) for label, one in rows.groups.items()})
    if arguments.page:
        write_between(PAGE, "calibration", "\n".join(lines))


if __name__ == "__main__":
    main()
