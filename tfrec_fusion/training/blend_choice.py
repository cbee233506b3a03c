"""Chooses the members, weights and form of a blend on a validation period."""

from __future__ import annotations

import dataclasses
import logging
import numbers
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tfrec_fusion.data import History, Interactions, Split, Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Report, evaluate, paired_bootstrap
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend import Blend
from tfrec_fusion.pipelines.blend_config import member_name
from tfrec_fusion.pipelines.candidates import candidates_of
from tfrec_fusion.retrieval.counted_ranks import top_items
from tfrec_fusion.training.ensemble_selection import ensemble_selection, ndcg

Factory = Callable[[Interactions], Model]

_FORMS = ("rank", "zscore")
_CANDIDATES = 100  # best items of each member and user, among which weights are chosen
_METRIC = "ndcg@10"
_MOST_BYTES = 2**31  # of the members' terms for the evaluated users
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChosenBlend:
    """A blend that was chosen on a validation period.

    Attributes:
      factories: name -> factory, of the members that are in the blend.
      options: the arguments of `Blend`, but for the members; empty for a single member.
      table: one row per member, and the blend: `blend`, `ndcg@10`, `cold ndcg@10` where it was
        measured, the `difference` to the best member, by weights of the other half of the users,
        with its 95 % interval `low` and `high`, and `taken`; and a row for the order of unseen
        items, whose difference is that to the blend.
      users: number of validation users that it was measured on.
      apart: `[users]` NDCG@10 of the blend for each of them, by weights that were chosen on the
        other half of the users; None for a single member.
    """

    factories: Mapping[str, Factory]
    options: Mapping[str, Any]
    table: pd.DataFrame
    users: int
    apart: np.ndarray | None = None

    def fit(self, train: Interactions) -> Model:
        """Trains the members and returns the blend, or the model itself if there is only one."""
        models = {name: factory(train) for name, factory in self.factories.items()}
        model: Any = Blend(models, **self.options) if self.options else next(iter(models.values()))
        return model


def choose_blend(
    factories: Mapping[str, Factory],
    split: Split,
    *,
    forms: Sequence[str] = _FORMS,
    steps: int = 20,
    k: float = 10.0,
    test: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> ChosenBlend:
    """Chooses a blend on `split.validation()`; the test events stay unseen.

    It trains each member on the events before the validation period and chooses the weights of each
    form by `ensemble_selection` on all validation users. The best form is the blend, if it is
    better than the best member: weights that are chosen on a random half of the users are measured
    on the other half, and the 95 % interval of the paired difference must be above 0; else the
    member stays. At last, unseen items keep the order of the member that ranks them best among
    themselves, if that beats the blend there and does not lower the whole, or raises the whole and
    is as good there.

    Args:
      factories: name -> a function that trains a model on the events that it is given and returns
        it. It is called with the training events of the validation, and by `ChosenBlend.fit` with
        those of the end.
      split: the split whose training events are used.
      forms: values of `Blend(how=...)` to try.
      steps: of the selection; more make finer weights.
      k: see `BlendConfig`.
      test: share of the training events in the validation period; see `Split.validation`.
      bootstrap, seed: see `evaluation.paired_bootstrap`.

    Returns:
      The choice; `choice.fit(split.train)` trains it.

    Raises:
      InputError: a factory is a model or returns one that was trained on other events, the members
        do not belong together, an argument is invalid, or there are no validation users.

    Example:
      >>> from tfrec_fusion.models.classic import EASE, Popularity
      >>> choice = choose_blend({"ease": EASE().fit, "popular": Popularity().fit}, split)
      >>> choice.fit(split.train).spec.n_items
      30
    """
    check_factories("choose_blend", factories, split)
    _check(forms)
    for name, value, least in (("steps", steps, 1), ("bootstrap", bootstrap, 1), ("seed", seed, 0)):
        check_whole("choose_blend", name, value, least)
    part = validation_part(split, test=test, seed=seed)
    members = trained_members("choose_blend", factories, part.train)
    Blend(members, k=k)  # checks that the members belong together
    trial = _Trial(members, part, forms, k, seed)
    table = _Table(bootstrap, seed)
    singles = {name: trial.score(forms[0], {name: 1.0}) for name in members}
    for name, one in singles.items():
        table.add(name, one)
    best = max(singles, key=lambda name: singles[name].mean())
    chosen, how = {best: 1.0}, forms[0]
    table.take(best)
    apart = None
    form, wanted = trial.selected(forms, steps, np.arange(trial.users))
    if len(wanted) > 1 and trial.users > 1:  # one user has no other half
        apart = trial.cross_fitted(forms, steps, seed)
        score = trial.score(form, wanted)
        if table.compare(_described(form, wanted), apart, singles[best], shown=score):
            how, chosen = form, wanted
    options: dict[str, Any] = {}
    if len(chosen) > 1:
        options = {"how": how, "weights": chosen, "k": k}
        cold = _cold_member({name: members[name] for name in chosen}, options, trial.part, table)
        options |= {"cold": cold} if cold else {}
    kept = {name: factories[name] for name in chosen}
    return ChosenBlend(kept, options, table.frame(), trial.users, apart if options else None)


def check_factories(owner: str, factories, split) -> None:
    """Raises InputError if these are no functions by name, or no split."""
    if not isinstance(factories, Mapping) or not factories:
        raise InputError(
            f"{owner}: factories must be a mapping of names to functions, at least one. "
            f"Received: {factories!r}"
        )
    for name, factory in factories.items():
        try:
            member_name(name)
        except ValueError as error:
            raise InputError(f"{owner}: factories: {error}. Received: {name!r}") from None
        if isinstance(factory, Model) or not callable(factory):
            raise InputError(
                f"{owner}: factories: {name!r} must be a function from training events to a "
                "trained model, as a model that is trained already may know the validation period; "
                f"pass e.g. lambda train: EASE().fit(train). Received: {type(factory).__name__}"
            )
    if not callable(getattr(split, "validation", None)):
        raise InputError(
            f"{owner}: split must be a Split, e.g. events.split('temporal'). "
            f"Received: {type(split).__name__}"
        )


def check_whole(owner: str, name: str, value, least: int) -> None:
    """Raises InputError if an argument is no whole number of `least` or more."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise InputError(
            f"{owner}: {name} must be a whole number of {least} or more. Received: {value!r}"
        )


def _check(forms) -> None:
    known = ("rank", "zscore", "weighted")
    if isinstance(forms, str) or not forms or any(form not in known for form in forms):
        raise InputError(
            f"choose_blend: forms must be a list of {', '.join(known)}. Received: {forms!r}"
        )


def validation_part(split: Split, *, test: float | None = None, seed: int = 0) -> Split:
    """Returns `split.validation()` with its users in another order.

    By that order, which depends on the events too, models of its training events and of others are
    told apart.
    """
    part = split.validation(test=test, seed=seed)
    order = np.random.default_rng([seed, len(part.train)]).permutation(len(part.train.users))
    users = Vocabulary(part.train.users.ids[order])
    return dataclasses.replace(
        part, train=part.train.encode_users(users), test=part.test.encode_users(users)
    )


def trained_members(
    owner: str, factories: Mapping[str, Factory], train: Interactions
) -> dict[str, Model]:
    """Returns name -> model of the factories.

    Raises:
      InputError: one returns no model, or one of other events than it was given.
    """
    members = {}
    for name, factory in factories.items():
        begin = time.perf_counter()
        try:
            members[name] = model = factory(train)
        except Exception as error:
            error.add_note(f"{owner}: while the factory of {name!r} was training")
            raise
        _log.info("%s: trained %s in %.1f s", owner, name, time.perf_counter() - begin)
        if not isinstance(model, Model) or model.spec is None:
            raise InputError(
                f"{owner}: the factory of {name!r} must return a trained model. "
                f"Received: {type(model).__name__}"
            )
        spec = model.spec
        if (spec.users, spec.n_users) != (train.users.fingerprint, len(train.users)):
            raise InputError(
                f"{owner}: the factory of {name!r} returns a model of other training events "
                "than it was given, which may include the validation period; train it on the "
                f"argument. Received: a model of {spec.n_users} users, given {len(train.users)}"
            )
    return members


class _Trial:
    """Measures weighted sums of the members' terms, each computed once.

    If the terms of all validation users take too much memory, it measures a sample.
    """

    def __init__(self, members: dict[str, Model], part: Split, forms, k: float, seed: int):
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
        self.part = _Part(part.train, part.kind, part.repeats, users, targets)
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
        return len(self.part.users)

    def selected(
        self, forms: Sequence[str], steps: int, rows: np.ndarray
    ) -> tuple[str, dict[str, float]]:
        """The form and the weights, at most 1, that are best for the users at `rows`."""
        found = []
        for form in forms:
            terms, hits = self._best_terms(form)
            relevant = self.part.held_out.lengths[rows]
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
            held_out = self.part.held_out
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

        report = _report(_Scored(score), self.part, slices=False)
        return report.per_user[_METRIC]


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


def _report(model, part: _Part, slices: bool) -> Report:
    return evaluate(model, part, k=(10,), slices=slices, bootstrap=0, progress=False)


def _cold_member(members: dict[str, Model], options, part: _Part, table: _Table) -> str | None:
    """The member whose order the unseen items should keep; None for that of the blend."""
    plain = _report(Blend(members, **options), part, slices=True)
    if not plain.counts["cold"]["users"]:
        return None
    reports = {
        name: _report(Blend(members, **options, cold=name), part, slices=True) for name in members
    }
    best = max(reports, key=lambda name: reports[name].metrics["cold"][_METRIC])
    before, after = (one.metrics["cold"][_METRIC] for one in (plain, reports[best]))
    name = f"unseen items in the order of {best}"
    totals = [one.per_user[_METRIC] for one in (reports[best], plain)]
    taken = table.compare(name, *totals, cold=(before, after))
    return best if taken else None


@dataclass
class _Table:
    """The rows of the table of a choice."""

    bootstrap: int
    seed: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, score: np.ndarray, **more) -> None:
        self.rows.append({"blend": name, _METRIC: float(score.mean()), "taken": False, **more})

    def take(self, name: str) -> None:
        for row in self.rows:
            row["taken"] |= row["blend"] == name

    def compare(
        self,
        name: str,
        after: np.ndarray,
        before: np.ndarray,
        cold: tuple[float, float] | None = None,
        shown: np.ndarray | None = None,
    ) -> bool:
        """Adds a row of `shown`, else `after`, and returns whether the later blend is to be taken.

        It must be better beyond noise; or, with `cold` before and after, better there and not worse
        beyond noise, or equal there and better beyond noise.
        """
        found = paired_bootstrap(after, before, bootstrap=self.bootstrap, seed=self.seed)
        taken = found.low > 0
        more = {"difference": found.difference, "low": found.low, "high": found.high}
        if cold is not None:
            better = cold[1] > cold[0] and found.high >= 0
            taken = better or (cold[1] == cold[0] and found.low > 0)
            more[f"cold {_METRIC}"] = cold[1]
        self.add(name, after if shown is None else shown, **more)
        self.rows[-1]["taken"] = bool(taken)
        _log.info("choose_blend: %s: %.4f, %s", name, after.mean(), "taken" if taken else "left")
        return bool(taken)

    def frame(self) -> pd.DataFrame:
        names = ["blend", _METRIC, f"cold {_METRIC}", "difference", "low", "high", "taken"]
        return pd.DataFrame(self.rows).reindex(columns=names)


def _described(form: str, weights: Mapping[str, float]) -> str:
    parts = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return f"{form} of {parts}"
