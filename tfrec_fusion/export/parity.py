"""Compares two exports of one model on the same requests."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History, Interactions
from tfrec_fusion.export.parity_report import ParityReport
from tfrec_fusion.export.saving import size_of
from tfrec_fusion.export.signatures.tensors import neutral_inputs

_USERS, _FEWEST, _BATCH, _CANDIDATES, _FIRST = 4096, 256, 64, 200, 100
_SCORES = 1 << 29  # most scores to compute; limits the users of catalogues of millions of items
_REPEATS = {1: 30, 64: 7}


class Parity:
    """Compares the answers of two served modules for the same users.

    Two-towers are compared by their lists of `serving_default`, with rules and histories. Rankers
    score 200 sampled items for each user, held-out ones included, without context.

    Args:
      full, smaller: `ServedModel`s or `ServedRanker`s; `full` is in float32.
      events: the events whose histories both hold.
      targets: rows of the users to compare, and their held-out items. Default: all users with a
        history, without held-out items.
    """

    def __init__(
        self,
        full,
        smaller,
        events: Interactions,
        targets: tuple[np.ndarray, History] | None = None,
    ):
        self._served = [_Asked(full), _Asked(smaller)]
        self._vocabulary, self._ranks = events.catalogue.vocabulary, not full.ranks_catalogue
        rows, later = targets or (np.flatnonzero(events.histories().lengths), None)
        most = min(_USERS, max(_SCORES // len(self._vocabulary), _FEWEST), len(rows))
        chosen = np.unique(np.linspace(0, max(len(rows) - 1, 0), most).astype(int))
        self._users = events.users.ids[rows[chosen]] if len(rows) else np.array([""], object)
        self._targets = None if later is None else [later.of(place) for place in chosen]
        self._rng = np.random.default_rng(0)

    def report(self, precision: str, folder: Path, more: int) -> ParityReport:
        """Compares scores, lists, size and latency.

        Args:
          precision: precision of the smaller export.
          folder: where the smaller export is saved.
          more: how many bytes larger the float32 export is.
        """
        size = size_of(folder)
        errors, scores, overlaps = [], [], {10: [], 100: []}
        for _, lists, values in self._answers():
            errors.append(np.abs(values[1] - values[0]))
            scores.append(values[0])
            for k, found in overlaps.items():
                found += map(lambda a, b, k=k: _overlap(a[:k], b[:k]), *lists)
        errors, scores = np.concatenate(errors), np.concatenate(scores)
        return ParityReport(
            precision=precision,
            users=len(self._users),
            score_error={
                "mean": float(errors.mean()),
                "max": float(errors.max()),
                "spread": float(scores.std()),
            },
            overlap={str(k): float(np.mean(found)) for k, found in overlaps.items()},
            ndcg_10=None,
            bytes={"float32": size + more, "smaller": size},
            p50_ms={str(batch): self._p50(batch, times) for batch, times in _REPEATS.items()},
        )

    def ndcg(self) -> dict[str, float] | None:
        """Mean NDCG@10 of the held-out items in both, and the number of users that have some."""
        found = []
        for targets, lists, _ in self._answers():
            found += map(lambda a, b, t: (_ndcg(a, t), _ndcg(b, t)), *lists, targets)
        if not found:
            return None
        before, after = np.mean(found, 0)
        return {"float32": float(before), "smaller": float(after), "users": len(found)}

    def _answers(self):
        """Yields, for each batch of users, their targets and both answers; see `_rank`."""
        for start in range(0, len(self._users), _BATCH):
            users = self._users[start : start + _BATCH]
            targets = self._targets and self._targets[start : start + _BATCH]
            yield targets or [], *self._rank(users, targets)

    def _rank(self, users, targets):
        """The top 100 rows of each user in both (padded with -1), and scores of the same pairs."""
        if self._ranks:
            rows = self._candidates(len(users), targets)
            items = self._vocabulary.ids[rows]
            scores = [served.scores(users, items) for served in self._served]
            orders = [np.argsort(-values, 1, kind="stable")[:, :_FIRST] for values in scores]
            lists = [np.take_along_axis(rows, order, 1) for order in orders]
            return lists, [values.reshape(-1) for values in scores]
        ids = [served.best(users) for served in self._served]
        known = ids[0] != ""
        scores = [served.scores(users, ids[0])[known] for served in self._served]
        return [self._vocabulary.rows(found) for found in ids], scores

    def _candidates(self, n_users, targets) -> np.ndarray:
        """Distinct item rows `[n_users, 200 or fewer]`, targets included."""
        n_items = len(self._vocabulary)
        width = min(_CANDIDATES, n_items)
        rows = np.stack([self._rng.choice(n_items, width, False) for _ in range(n_users)])
        for row, own in zip(rows, targets or [], strict=False):
            own = own[: width // 2]
            others = row[~np.isin(row, own)][: width - len(own)]
            row[:] = np.concatenate([own, others])
        return rows

    def _p50(self, batch: int, repeats: int) -> dict[str, float]:
        users = np.resize(self._users, batch)
        items = self._vocabulary.ids[self._candidates(batch, None)] if self._ranks else None
        times = [[], []]
        for turn in range(repeats + 2):
            for served, found in zip(self._served, times, strict=True):
                begin = time.perf_counter()
                served.default(users, items)
                if turn > 1:
                    found.append(1e3 * (time.perf_counter() - begin))
        before, after = map(statistics.median, times)
        return {"float32": before, "smaller": after}


class _Asked:
    """A served module with NumPy inputs and outputs."""

    def __init__(self, served):
        self._default, self._score = served.plain["serving_default"], served.plain["score"]
        self._ranks = not served.ranks_catalogue
        default = next(one for one in served.described if one.name == "serving_default")
        self._inputs = [one for one in default.inputs if not one.kind]
        self._features = served.feature_inputs

    def default(self, users, items):
        """Outputs of `serving_default`; only a ranker needs `items`."""
        inputs = {"user_id": tf.constant(users)}
        if self._ranks:
            inputs |= {"item_id": tf.constant(items)} | neutral_inputs(self._inputs, len(users))
        return {name: value.numpy() for name, value in self._default(**inputs).items()}

    def best(self, users) -> np.ndarray:
        """Item ids `[B, 100]`, "" for none."""
        return np.char.decode(self.default(users, None)["item_id"].astype(bytes), "utf-8")

    def scores(self, users, items) -> np.ndarray:
        """Scores `[B, N]` of items `[B, N]`."""
        if self._ranks:
            return self.default(users, items)["score"]
        given = neutral_inputs(self._features, len(users))
        asked = {"user_id": tf.constant(users), "item_id": tf.constant(items), **given}
        return self._score(**asked)["score"].numpy()


def _overlap(ours: np.ndarray, theirs: np.ndarray) -> float:
    known = ours[ours >= 0]
    return len(np.intersect1d(known, theirs)) / len(known) if len(known) else 1.0


def _ndcg(rows: np.ndarray, targets: np.ndarray) -> float:
    gains = 1 / np.log2(np.arange(2, 12))
    hits = np.isin(rows[:10], targets)
    return float(gains[: len(hits)][hits].sum() / gains[: min(10, len(targets))].sum())
