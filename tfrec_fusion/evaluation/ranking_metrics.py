"""Metrics of ranked rows, as sums over users, so that users can be resampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from tfrec_fusion.evaluation.bootstrap import interval, resamples
from tfrec_fusion.metrics.base_rate_entropy import over_base_rate
from tfrec_fusion.metrics.cross_entropy import row_losses
from tfrec_fusion.metrics.grouped_auc import user_aucs
from tfrec_fusion.metrics.list_ndcg import list_ndcgs
from tfrec_fusion.metrics.roc_auc import placements

_OF_PROBABILITIES = ("log_loss", "normalised_entropy", "ece")
_K = 10
_BINS = 15


@dataclass(frozen=True)
class RankedRows:
    """Test events and negatives with their scores, one a row.

    Attributes:
      user: `[n]` row of the user.
      item: `[n]` row of the item.
      list: `[n]` the list that a row is ranked in, of one user each.
      label: `[n]` positive above 0; the gain of NDCG is `2^label - 1`.
      score: `[n]` float.
      logit: `[n]` float, of the probability; None if there is none to judge.
    """

    user: np.ndarray
    item: np.ndarray
    list: np.ndarray
    label: np.ndarray
    score: np.ndarray
    logit: np.ndarray | None


@dataclass(frozen=True)
class SliceResult:
    """Metrics, their 95 % intervals and the counts of a slice."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    counts: dict[str, int]


def ranking_metrics(
    rows: RankedRows,
    items: dict[str, np.ndarray],
    users: dict[str, np.ndarray],
    bootstrap: int,
    seed: int,
) -> dict[str, SliceResult]:
    """Computes the metrics of all rows and of slices, with intervals over users.

    Rank metrics of a slice of items rank its positives against all negatives of their users;
    probability metrics read the rows of its items. A slice of users has all their rows.

    Args:
      rows: what is evaluated.
      items: slice -> `[n_items]` bool.
      users: slice -> `[n_users]` bool.
      bootstrap: number of resamples of the users, 0 for no intervals.
      seed: of the resamples.

    Returns:
      Slice -> result, "total" first. NaN stands for a metric that does not exist.
    """
    place = np.unique(rows.user, return_inverse=True)[1]
    edges = np.empty(0)
    if rows.logit is not None:
        edges = np.quantile(rows.logit, np.arange(1, _BINS) / _BINS)
    everything = np.ones(len(place), bool)
    masks = {"total": (everything, everything)}
    for label, chosen in items.items():
        inside = chosen[rows.item]
        taken = inside & (rows.label > 0)
        of_user = np.bincount(place, taken) > 0
        masks[label] = (taken | ((rows.label <= 0) & of_user[place]), inside)
    for label, chosen in users.items():
        inside = chosen[rows.user]
        masks[label] = (inside, inside)
    sums = {label: _Sums(rows, place, *mask, edges) for label, mask in masks.items()}
    drawn: dict[str, list[dict[str, np.ndarray]]] = {label: [] for label in sums}
    if bootstrap:
        for counts in resamples(int(place.max()) + 1, bootstrap, seed):
            for label, one in sums.items():
                drawn[label].append(one.metrics(counts))
    return {
        label: SliceResult(
            {name: float(value[0]) for name, value in one.metrics(None).items()},
            _intervals(drawn[label]),
            one.counts,
        )
        for label, one in sums.items()
    }


class _Sums:
    """The sums over each user's rows of which the metrics of a slice are made."""

    def __init__(self, rows: RankedRows, place, ranked, predicted, edges):
        n_users = int(place.max()) + 1

        def of_users(users: np.ndarray, values: np.ndarray | float = 1.0) -> np.ndarray:
            values = np.broadcast_to(values, users.shape)
            return np.bincount(users, values, minlength=n_users)

        positive = rows.label > 0
        user, label, score = place[ranked], rows.label[ranked], rows.score[ranked]
        here = np.unique(user)
        aucs, _, size = user_aucs(user, label, score)
        both = ~np.isnan(aucs)
        first = np.unique(rows.list[ranked], return_index=True)[1]
        ndcg = list_ndcgs(rows.list[ranked], label, score, _K)
        told = ~np.isnan(ndcg)
        owner = user[first][told]
        # The AUC of a sample of users is estimated from the placements among all of them.
        share, taken = placements(positive[ranked], score), positive[ranked]
        columns = {
            "user_aucs": of_users(here[both], size[both] * aucs[both]),
            "user_weights": of_users(here[both], size[both]),
            "ndcg": of_users(owner, ndcg[told]),
            "lists": of_users(owner),
            "positives_right": of_users(user[taken], share[taken]),
            "positives": of_users(user[taken]),
            "negatives_right": of_users(user[~taken], share[~taken]),
            "negatives": of_users(user[~taken]),
        }
        self.counts = {
            "users": len(here),
            "users_of_one_label": int((~both).sum()),
            "lists": int(told.sum()),
            "positives": int(taken.sum()),
            "negatives": int((~taken).sum()),
        }
        self._auc = float(share[taken].mean()) if taken.any() else float("nan")
        self._is_logit = rows.logit is not None
        if rows.logit is not None:
            user, logit = place[predicted], rows.logit[predicted].astype(np.float64)
            true = positive[predicted].astype(np.float64)
            cell = user * _BINS + np.searchsorted(edges, logit, side="right")
            excess = np.bincount(cell, true - expit(logit), minlength=n_users * _BINS)
            columns |= {
                "losses": of_users(user, row_losses(true, logit, True)),
                "true": of_users(user, true),
                "rows": of_users(user),
                **{f"bin {b}": excess[b::_BINS] for b in range(_BINS)},
            }
        values = np.stack(list(columns.values()), 1)
        self._names = list(columns)
        self._users = np.flatnonzero(values.any(1))  # of a small slice, few
        self._values = values[self._users]

    def metrics(self, counts: np.ndarray | None) -> dict[str, np.ndarray]:
        """Computes metrics `[r]` of r samples of the users.

        Args:
          counts: `[r, users]` how often each is drawn; None for each once.
        """
        drawn = np.ones((1, len(self._users))) if counts is None else counts[:, self._users]
        total = dict(zip(self._names, (drawn @ self._values).T, strict=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            positives = total["positives_right"] / total["positives"]
            negatives = total["negatives_right"] / total["negatives"]
            found = {
                "gauc": total["user_aucs"] / total["user_weights"],
                "auc": positives + negatives - self._auc,
                "ndcg@10": total["ndcg"] / total["lists"],
            }
            if not self._is_logit:
                nothing = np.full(len(drawn), np.nan)
                return found | dict.fromkeys(_OF_PROBABILITIES, nothing)
            loss, base = total["losses"] / total["rows"], total["true"] / total["rows"]
            excess = sum(np.abs(total[f"bin {b}"]) for b in range(_BINS))
            found_too = loss, over_base_rate(loss, base), excess / total["rows"]
        return found | dict(zip(_OF_PROBABILITIES, found_too, strict=True))


def _intervals(drawn: list[dict[str, np.ndarray]]) -> dict[str, tuple[float, float]]:
    """95 % intervals of the metrics that exist in some resample."""
    found = {}
    for name in drawn[0] if drawn else ():
        values = np.concatenate([part[name] for part in drawn])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = interval(values)
            found[name] = (float(low), float(high))
    return found
