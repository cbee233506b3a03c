"""Chooses and measures the weights of a blend on the users of several held-out parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfrec_fusion.evaluation import Report
from tfrec_fusion.training.blend_fold import BlendFold
from tfrec_fusion.training.ensemble_selection import ensemble_selection, ndcg

_METRIC = "ndcg@10"


class BlendTrial:
    """Chooses and measures weights on folds.

    Rows are the evaluated users of all folds, one fold after the other.

    Args:
      folds: at least one; all have the same members.
      names: of the members.

    Attributes:
      user: `[rows]` number of the user of each row; a user has the same number in all folds.
      users: number of distinct users.
      first: number of rows of the first fold.
    """

    def __init__(self, folds: Sequence[BlendFold], names: Sequence[str]):
        self._folds, self._names = folds, [*names]
        self._relevant = np.concatenate([fold.relevant for fold in folds])
        self._best: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.user, distinct = pd.factorize(np.concatenate([fold.users for fold in folds]))
        self.users, self.first = len(distinct), len(folds[0].users)

    def selected(
        self, forms: Sequence[str], steps: int, rows: np.ndarray
    ) -> tuple[str, dict[str, float]]:
        """Returns the form and the weights, at most 1, that are best for the users at `rows`."""
        found = []
        for form in forms:
            terms, hits = self._best_terms(form)
            relevant = self._relevant[rows]
            counts = ensemble_selection(terms[:, rows], hits[rows], relevant, steps)
            # Not those of weight 0, as 0 times -inf is no number.
            parts = [np.float32(n) * one[rows] for n, one in zip(counts, terms, strict=True) if n]
            score = ndcg(np.sum(parts, axis=0), hits[rows], relevant).mean()
            found.append((float(score), form, counts))
        _, form, counts = max(found, key=lambda one: one[0])
        weights = zip(self._names, (counts / counts.max()).tolist(), strict=True)
        return form, {name: weight for name, weight in weights if weight}

    def cross_fitted(self, forms: Sequence[str], steps: int, seed: int) -> np.ndarray:
        """Returns NDCG@10 `[rows]` by weights that are chosen on the other half of the users.

        A user is in the same half in all folds.
        """
        order = np.random.default_rng(seed).permutation(self.users)
        chosen = np.zeros(self.users, bool)
        chosen[order[: self.users // 2]] = True
        half, found = chosen[self.user], np.empty(len(self.user))
        for measured in (half, ~half):
            blend = self.selected(forms, steps, np.flatnonzero(~measured))
            found[measured] = self.score(*blend)[measured]
        return found

    def score(self, form: str, weights: Mapping[str, float]) -> np.ndarray:
        """Returns NDCG@10 `[rows]`."""
        return total(self.reports(form, weights))

    def reports(
        self,
        form: str,
        weights: Mapping[str, float],
        *,
        cold: str | None = None,
        slices: bool = False,
    ) -> list[Report]:
        """Returns the evaluation on each fold; see `BlendFold.report`."""
        return [fold.report(form, weights, cold=cold, slices=slices) for fold in self._folds]

    def _best_terms(self, form: str) -> tuple[np.ndarray, np.ndarray]:
        """The terms `[members, rows, C]` of the best items of each row, and which are targets."""
        if form not in self._best:
            found = [fold.best_terms(form) for fold in self._folds]
            width = max(hits.shape[1] for _, hits in found)
            more = [(0, width - hits.shape[1]) for _, hits in found]
            terms = [
                np.pad(one, ((0, 0), (0, 0), wider), constant_values=-np.inf)
                for (one, _), wider in zip(found, more, strict=True)
            ]
            hits = [np.pad(one, ((0, 0), w)) for (_, one), w in zip(found, more, strict=True)]
            self._best[form] = np.concatenate(terms, axis=1), np.concatenate(hits)
        return self._best[form]


def total(reports: Sequence[Report]) -> np.ndarray:
    """Returns NDCG@10 of the users of several reports, one after the other."""
    return np.concatenate([report.per_user[_METRIC] for report in reports])


def mean_of_cold(reports: Sequence[Report]) -> float:
    """Returns the mean NDCG@10 of unseen items among themselves; NaN if no user has any."""
    values = np.concatenate([report.slice_per_user["cold"][_METRIC] for report in reports])
    return float(values.mean()) if len(values) else float("nan")
