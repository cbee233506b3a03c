"""Claim 6: full evaluation against TFRS FactorizedTopK, and its metrics against exact ones.

All contenders get the same user and item vectors and the same targets, one per user. TFRS's metric
counts hits at its cut-offs and masks nothing. Ours masks the seen items, ranks cold items among
themselves, and computes five metrics in seven slices, novelty and coverage; or, like TFRS, only the
total.
"""

from types import SimpleNamespace

import numpy as np
from harness import Claim, Options, interleave, main, seconds
from scipy import sparse

from tfrec_fusion._compat import tf, tfrs
from tfrec_fusion.data.history import History
from tfrec_fusion.evaluation import evaluate

DIM = 64
SEEN = 20


class Model:
    """User and item vectors, seen items and one target per user."""

    def __init__(self, n_users: int, n_items: int, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.users = rng.standard_normal((n_users, DIM), dtype=np.float32)
        self.items = rng.standard_normal((n_items, DIM), dtype=np.float32)
        warm = np.sort(rng.permutation(n_items)[: int(0.9 * n_items)])
        # Near the user's vector, so that ranks are like those of a trained model.
        self.target = rng.integers(0, n_items, n_users)
        self.users += self.items[self.target] * rng.random((n_users, 1), dtype=np.float32)
        seen = rng.choice(warm, (n_users, SEEN))
        seen = np.where(seen == self.target[:, None], warm[(seen == warm[0]).astype(int)], seen)
        rows = np.repeat(np.arange(n_users), SEEN)
        keep = seen.ravel() != self.target[rows]
        ones = np.ones(keep.sum(), np.float32)
        matrix = sparse.csr_matrix((ones, (rows[keep], seen.ravel()[keep])), (n_users, n_items))
        matrix.data[:] = 1
        self.matrix = matrix
        self.table = tf.constant(self.items)

    def scorer(self, state):
        # Item vectors are on the device, as a model's are; so is TFRS's index.
        return SimpleNamespace(user_vectors=lambda rows: self.users[rows], item_vectors=self.table)

    def split(self, n_users: int):
        """A split whose evaluated users are the first ones."""
        users = np.arange(n_users, dtype=np.int32)
        targets = History(np.arange(n_users + 1), self.target[:n_users].astype(np.int32), None)
        train = SimpleNamespace(matrix=lambda: self.matrix, timestamp=None)
        train.counted_events = lambda: train
        return SimpleNamespace(train=train, targets=lambda: (users, targets), kind="random")

    def exact(self, n_users: int, k: int) -> np.ndarray:
        """Recall@k of each of the first users by a full float64 computation, seen items masked."""
        hits = np.empty(n_users)
        items = self.items.astype(np.float64)
        for user in range(n_users):
            scores = items @ self.users[user].astype(np.float64)
            scores[self.matrix[user].indices] = -np.inf
            target = scores[self.target[user]]
            greater, equal = (scores > target).sum(), (scores == target).sum()
            hits[user] = np.clip(k - greater, 0, equal) / equal
        return hits


def tfrs_metric(model: Model, candidates, batch: int):
    """Returns a function that evaluates the first users with TFRS, as in its tutorial."""
    metric = tfrs.metrics.FactorizedTopK(candidates)

    @tf.function
    def step(users, targets):
        metric.update_state(users, targets)

    def run(n_users: int):
        for start in range(0, n_users, batch):
            stop = min(start + batch, n_users)
            targets = model.items[model.target[start:stop]]
            step(model.users[start:stop], targets)
        return [float(value.result()) for value in metric.metrics]

    return run


def claims(options: Options):
    sizes = {
        "10k": (10_000, options.size(20_000, 8_000, 600), options.size(2_048, 512, 128)),
        "1M": (
            options.size(1_000_000, 1_000_000, 20_000),
            options.size(2_048, 1_024, 128),
            options.size(64, 32, 32),
        ),
    }
    for label, (n_items, n_users, n_streamed) in sizes.items():
        model = Model(n_users, n_items)
        split = model.split(n_users)
        blocks = tf.data.Dataset.from_tensor_slices(model.items).batch(128)
        brute = tfrs.layers.factorized_top_k.BruteForce().index(tf.constant(model.items))
        streamed = tfrs_metric(model, blocks, min(128, n_streamed))
        indexed = tfrs_metric(model, brute, 64 if n_items >= 1_000_000 else 256)
        # Seconds per user, as the slowest peer evaluates fewer users.
        users = {
            "ours": n_users,
            "total only": n_users,
            "FactorizedTopK": n_streamed,
            "with BruteForce": n_users,
        }
        timings = interleave(
            {
                "ours": seconds(lambda m=model, s=split: evaluate(m, s, bootstrap=0)),
                "total only": seconds(
                    lambda m=model, s=split: evaluate(m, s, bootstrap=0, slices=False)
                ),
                "FactorizedTopK": seconds(lambda run=streamed, n=n_streamed: run(n)),
                "with BruteForce": seconds(lambda run=indexed, n=n_users: run(n)),
            },
            options.rounds,
        )
        timings = {name: timing.divided_by(users[name]) for name, timing in timings.items()}
        unit = {"unit": 1e6, "unit_name": "us a user"}
        yield Claim.of(
            f"full evaluation with all slices, {label} items x {DIM}",
            "TFRS FactorizedTopK with its defaults (candidates in batches of 128)",
            timings,
            "ours",
            "FactorizedTopK",
            goal=20,
            **unit,
        )
        yield Claim.of(
            f"full evaluation with all slices, {label} items x {DIM}, against an index",
            "TFRS FactorizedTopK with BruteForce",
            timings,
            "ours",
            "with BruteForce",
            goal=1.8,
            **unit,
        )
        yield Claim.of(
            f"full evaluation of the total alone, as the peer's, {label} items x {DIM}",
            "TFRS FactorizedTopK with its defaults (candidates in batches of 128)",
            timings,
            "total only",
            "FactorizedTopK",
            goal=20,
            **unit,
        )
        yield Claim.of(
            f"full evaluation of the total alone, as the peer's, {label} items x {DIM}",
            "TFRS FactorizedTopK with BruteForce",
            timings,
            "total only",
            "with BruteForce",
            goal=1.8,
            **unit,
        )
        checked = options.size(128, 64, 32)
        report = evaluate(model, model.split(checked), k=(10, 100), bootstrap=0)
        exact = np.stack([model.exact(checked, k) for k in (10, 100)])
        found = np.stack([report.per_user[f"recall@{k}"] for k in (10, 100)])
        yield Claim(
            f"users whose recall@10 or @100 is not the exact one, {label} items",
            "NumPy in float64, all scores, seen items masked",
            float(np.abs(exact - found).max(0).astype(bool).sum()),
            0,
            "lower",
            detail=f"{checked} users, mean recall {exact.mean(1).round(4).tolist()}",
        )


if __name__ == "__main__":
    main(claims, __doc__)
