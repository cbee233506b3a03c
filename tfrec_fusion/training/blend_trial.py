"""Measures blends of trained members on a held-out part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.data import History, Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Report, evaluate
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend import Blend
from tfrec_fusion.pipelines.candidates import candidates_of
from tfrec_fusion.retrieval.counted_ranks import top_items
from tfrec_fusion.training.ensemble_selection import ensemble_selection, ndcg

_CANDIDATES = 100  # best items of each member and user, among which weights are chosen
_METRIC = "ndcg@10"
_MOST_BYTES = 2**31  # of the members' terms for the evaluated users
_log = logging.getLogger(__name__)


class BlendTrial:
    """Measures weighted sums of the members' terms, each computed once.

    If the terms of all validation users take too much memory, it measures a sample.
    """

    def __init__(self, members: Mapping[str, Model], part: Split, forms, k: float, seed: int):
        users, targets = part.targets()
        if not len(users):
            raise InputError(
                "choose_blend: the validation period has no user with earlier events and new "
                "items; use another split or more data"
            )
        most = max(1, _MOST_BYTES // (4 * len(part.train.catalogue) * len(members) * len(forms)))
        if len(users) > most:
            _log.warning("choose_blend: measured on %d of %d users", most, len(users))
            rows = np.sort(np.random.default_rng(seed).choice(len(users), most, replace=False))
            users, targets = users[rows], targets.take(rows)
        self._part = _Part(part.train, part.kind, part.repeats, users, targets)
        self._row = np.full(len(part.train.users), -1)
        self._row[users] = np.arange(len(users))
        state = State.of(part.train)
        self._candidates = candidates_of(state, users)
        self._names = [*members]
        self._best: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._terms = {
            (form, name): Blend({name: member}, how=form, k=k).scorer(state)(users)
            for form in forms
            for name, member in members.items()
        }

    @property
    def users(self) -> int:
        """Number of users measured."""
        return len(self._part.users)

    def selected(
        self, forms: Sequence[str], steps: int, rows: np.ndarray
    ) -> tuple[str, dict[str, float]]:
        """The form and the weights, at most 1, that are best for the users at `rows`."""
        found = []
        for form in forms:
            terms, hits = self._best_terms(form)
            relevant = self._part.held_out.lengths[rows]
            counts = ensemble_selection(terms[:, rows], hits[rows], relevant, steps)
            # Not those of weight 0, as 0 times -inf is no number.
            parts = [np.float32(n) * one[rows] for n, one in zip(counts, terms, strict=True) if n]
            score = ndcg(np.sum(parts, axis=0), hits[rows], relevant).mean()
            found.append((float(score), form, counts))
        _, form, counts = max(found, key=lambda one: one[0])
        weights = zip(self._names, (counts / counts.max()).tolist(), strict=True)
        return form, {name: weight for name, weight in weights if weight}

    def cross_fitted(self, forms: Sequence[str], steps: int, seed: int) -> np.ndarray:
        """NDCG@10 of each user by weights that are chosen on the other half of the users."""
        order = np.random.default_rng(seed).permutation(self.users)
        half = np.zeros(self.users, bool)
        half[order[: self.users // 2]] = True
        found = np.empty(self.users)
        for measured in (half, ~half):
            chosen = self.selected(forms, steps, np.flatnonzero(~measured))
            found[measured] = self.score(*chosen)[measured]
        return found

    def _best_terms(self, form: str) -> tuple[np.ndarray, np.ndarray]:
        """Terms `[members, users, C]` of the best items of any member, and which are targets.

        Other items are in no sum's top 10, but for rare ones that no member ranks high.
        """
        if form not in self._best:
            kept = np.zeros(self._candidates.shape, bool)
            terms = [self._terms[form, name] for name in self._names]
            for one in terms:
                one = np.where(self._candidates, one, np.float32(-np.inf))
                tops = top_items(one, min(_CANDIDATES, one.shape[1]))
                rows = np.repeat(np.arange(len(tops)), tops.shape[1])
                kept[rows[tops.ravel() >= 0], tops[tops >= 0]] = True
            places = np.argsort(~kept, 1, kind="stable")[:, : kept.sum(1).max()]
            found = np.stack([np.take_along_axis(one, places, 1) for one in terms])
            found[:, ~np.take_along_axis(kept, places, 1)] = -np.inf
            held_out = self._part.held_out
            is_target = np.zeros(kept.shape, bool)
            is_target[np.repeat(np.arange(self.users), held_out.lengths), held_out.items] = True
            self._best[form] = found, np.take_along_axis(is_target, places, 1)
        return self._best[form]

    def score(self, form: str, weights: Mapping[str, float]) -> np.ndarray:
        """NDCG@10 of each user, `[users]`."""
        terms = [(np.float32(w), self._terms[form, name]) for name, w in weights.items()]

        def score(users):
            rows = self._row[users]
            return np.sum([weight * values[rows] for weight, values in terms], axis=0)

        return self.report(_Scored(score), slices=False).per_user[_METRIC]

    def report(self, model, *, slices: bool) -> Report:
        """The evaluation of a model for the measured users."""
        return evaluate(model, self._part, k=(10,), slices=slices, bootstrap=0, progress=False)


@dataclass(frozen=True)
class _Scored:
    function: Callable[[np.ndarray], np.ndarray]

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        return self.function


@dataclass(frozen=True)
class _Part:
    """A split with some of its evaluated users."""

    train: Interactions
    kind: str
    repeats: str
    users: np.ndarray
    held_out: History

    def targets(self) -> tuple[np.ndarray, History]:
        return self.users, self.held_out
