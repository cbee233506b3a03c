"""What a small ranker gains from a large ensemble that teaches it, on retail.

    python benchmarks/distillation.py [--seeds 3] [--members 3] [--quick] [--json FILE]

Data, split, test pairs and training are those of benchmarks/ranker.py. The teacher is the mean of
several rankers with the defaults, which differ by their seeds; the students have at most a quarter
of the parameters of one of them, id tables aside. All students of a seed start from the same
weights and see the same batches; the taught ones read the teacher's logits too. Differences are to
the student of labels alone, with 95 % paired bootstraps over users, of the means over seeds.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from ranker import DATA, DAYS, EPOCHS, NEGATIVES, Pairs

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.evaluation.bootstrap import interval, resamples
from tfrec_fusion.examples import distillation_examples, ranking_examples
from tfrec_fusion.metrics.cross_entropy import row_losses
from tfrec_fusion.metrics.grouped_auc import user_aucs
from tfrec_fusion.models import Ranker
from tfrec_fusion.optimizers import adam
from tfrec_fusion.pipelines import RankerEnsemble
from tfrec_fusion.times import DAY

SMALL = {"dim": 16, "hidden": [32, 16], "cross_layers": 1}
STUDENTS = {
    "student of labels": {},
    "taught, weight 1": {"distillation": 1.0},
    "taught, weight 4": {"distillation": 4.0},
    "taught, weight 4, T = 2": {"distillation": 4.0, "temperature": 2.0},
}
PLAIN = "student of labels"


def parameters(model: Ranker) -> int:
    """Trained parameters without the table of item ids."""
    table = model.tower.ids.table.shape.num_elements()
    return sum(one.shape.num_elements() for one in model.trainable_variables) - table


def train(split, seed: int, options: dict, quick: bool, teacher=None) -> Ranker:
    keras.utils.set_random_seed(seed)
    days = 90 if quick else DAYS
    recent = split.train.select(split.train.timestamp >= split.time - days * DAY)
    # Batch statistics need some hundred steps, or what the teacher says after training is biased.
    size = 256 if quick else 1024
    batches = ranking_examples(
        recent, size, known=split.train, negatives=NEGATIVES, min_history=1, seed=seed
    )
    if teacher is not None:
        batches = distillation_examples(batches, teacher)
    epochs = 1 if quick else EPOCHS
    model = Ranker(split.train, **options)
    model.compile(adam(2e-3, steps=epochs * len(batches)))
    model.fit(batches, epochs=epochs, verbose=0)
    return model


class Users:
    """Sums over the rows of each user, of which the metrics of the test pairs are made."""

    def __init__(self, pairs: Pairs):
        self.pairs, self.user = pairs, np.unique(pairs.user, return_inverse=True)[1]
        self.rows = np.bincount(self.user)

    def sums(self, model) -> np.ndarray:
        """AUC times rows, and log losses, `[2, users]`."""
        score = tf.function(model, reduce_retracing=True)
        logits = np.concatenate([score(batch).numpy().ravel() for batch in self.pairs.batches])
        logits, label = logits.astype(np.float64), self.pairs.label.astype(np.float64)
        aucs, _, size = user_aucs(self.user, label, logits)
        return np.stack([aucs * size, np.bincount(self.user, row_losses(label, logits, True))])

    def metrics(self, sums: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """GAUC and log loss `[2, r]` of r samples of the users."""
        counts = np.ones((1, len(self.rows))) if counts is None else counts
        return (sums @ counts.T) / (counts @ self.rows)

    def difference(self, one: np.ndarray, other: np.ndarray) -> list[list[float]]:
        """The difference of both metrics, each with its 95 % interval."""
        drawn = [
            self.metrics(one, c) - self.metrics(other, c)
            for c in resamples(len(self.rows), 1000, 0)
        ]
        value = (self.metrics(one) - self.metrics(other))[:, 0]
        drawn = np.concatenate(drawn, 1)
        return [[float(v), *map(float, interval(d))] for v, d in zip(value, drawn, strict=True)]


def table(rows: dict[str, dict]) -> str:
    lines = [
        "| model | parameters | GAUC | log loss | GAUC more | log loss more |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for name, row in rows.items():
        apart = [f"{v:+.4f} [{low:+.4f}, {high:+.4f}]" for v, low, high in row["difference"]]
        apart = ["", ""] if name == PLAIN else apart
        cells = [name, f"{row['parameters']:,}", f"{row['gauc']:.4f}", f"{row['log_loss']:.4f}"]
        lines.append(f"| {' | '.join([*cells, *apart])} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds of teachers and students")
    parser.add_argument("--members", type=int, default=3, help="rankers of a teacher")
    parser.add_argument(
        "--quick", action="store_true", help="one seed, 90 days, one epoch of smaller batches"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    quick, n_members, folder = arguments.quick, arguments.members, DATA / "retail"
    catalogue = Catalogue.from_parquet(
        folder / "items.parquet", vectors={"text": folder / "minilm_384.npy"}
    )
    split = Interactions.from_parquet(folder / "interactions.parquet", catalogue).split("temporal")
    users = Users(Pairs(split))
    found: dict[str, list[np.ndarray]] = {}
    sizes: dict[str, int] = {}

    def judge(name, model, size, started):
        found.setdefault(name, []).append(users.sums(model))
        sizes[name] = size
        gauc, loss = users.metrics(found[name][-1])[:, 0]
        seconds = time.perf_counter() - started
        print(f"{name}: {gauc:.4f}, {loss:.4f}, {seconds:.0f} s", file=sys.stderr, flush=True)

    for seed in range(1 if quick else arguments.seeds):
        members = {}
        for number in range(n_members):
            started = time.perf_counter()
            member = train(split, n_members * seed + number, {}, quick)
            members[f"seed_{number}"] = member
            judge(f"one of {n_members}", member, parameters(member), started)
        teacher = RankerEnsemble(members)
        judge(f"mean of {n_members}", teacher, sum(map(parameters, members.values())), started)
        for name, options in STUDENTS.items():
            started = time.perf_counter()
            student = train(split, seed, SMALL | options, quick, teacher if options else None)
            judge(name, student, parameters(student), started)
            assert 4 * parameters(student) <= parameters(member)
    sums = {name: np.mean(of_seeds, 0) for name, of_seeds in found.items()}
    rows = {}
    for name, one in sums.items():
        gauc, loss = map(float, users.metrics(one)[:, 0])
        apart = users.difference(one, sums[PLAIN])
        rows[name] = {"gauc": gauc, "log_loss": loss, "difference": apart}
        rows[name]["parameters"] = sizes[name]
    print(f"{len(users.pairs.item):,} test events of {len(users.rows):,} users\n\n{table(rows)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
