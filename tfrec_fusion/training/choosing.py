"""Chooses the model for a data set by validation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from rich.console import Console

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import PairedDifference, Report, evaluate, paired_bootstrap
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.training.auto_candidates import default_candidates
from tfrec_fusion.training.auto_result import AutoResult, Trial
from tfrec_fusion.training.blend_choice import ChosenBlend, choose_blend, validation_part
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.model_sections import AUTO, BLEND, AutoSection
from tfrec_fusion.training.recipes import trained_model
from tfrec_fusion.training.stack_choice import ChosenStack, choose_stack
from tfrec_fusion.training.time_budget import BudgetError

_METRIC = "ndcg@10"
_NO_TABLES = {"interactions": "", "items": ""}
_BUDGET = 900.0  # seconds
_NO_TIME = "the time budget is too short"
_LEAST = 10.0  # seconds for which a training is worth beginning
_AGAIN = 1.5  # time to fit again on all events, relative to the first time
_FOLDS = 5  # of a stack
_BUILD = 6.0  # seconds to build a head
_HEAD = 0.012  # seconds to train a head on the candidates of one user
_LITTLE = 0.01  # of the best model's NDCG@10, for a simpler one
_NOT_NAMED = re.compile(r"\W")  # in the name of a member


def auto(
    split: Split,
    *,
    time_budget: str | float = "15m",
    candidates: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    bootstrap: int = 1000,
    progress: Console | bool | None = None,
) -> AutoResult:
    """Tries the models that suit the data on a validation part, and fits the chosen one.

    All candidates are fitted on the training events of `split.validation()` and ranked on its test
    events; the test events of `split` stay unseen. `choose_blend` then blends the best of each
    kind, where that is better than one of them, and `choose_stack` stacks these if there is time to
    train them on earlier events too. The stack wins if it is better than its members and their
    blend beyond noise on the folds that `choose_stack` measures; else the simplest model whose
    NDCG@10 is at most 1 % below the best, and not beyond noise: the 95 % interval of a paired
    bootstrap over users includes 0. The winner is fitted again on all training events.

    Args:
      split: the events; only `split.train` is read.
      time_budget: seconds, or a text such as "15m", for everything. Candidates are tried from the
        simplest on; those that are trained in epochs share what is left evenly, and train on fewer
        examples if they must. What does not fit is left out, and the result says so.
      candidates: name -> keys of a run's config, e.g. `{"EASE": {"model": {"kind": "ease"}}}`, from
        the simplest to the most complex; None takes those of `default_candidates`.
      seed: of the validation part, the trainings and the bootstrap.
      bootstrap: number of resamples.
      progress: a rich console for a line for each model; None is standard error, False no output.

    Raises:
      InputError: the events cannot be split again, an invalid budget or candidate, or no candidate
        fits into the budget.

    Example:
      >>> few = {"popular": {"model": {"kind": "popularity"}}, "EASE": {"model": {"kind": "ease"}}}
      >>> found = tff.auto(split, candidates=few, progress=False)
      >>> found.name in [trial.name for trial in found.trials]
      True
    """
    if not isinstance(split, Split):
        raise InputError(
            "auto: split must be a Split, e.g. events.split('temporal'). "
            f"Received: {type(split).__name__}"
        )
    if not isinstance(candidates, Mapping | None):
        raise InputError(
            "auto: candidates must be a mapping of names to keys of a run's config, e.g. {'EASE': "
            f"{{'model': {{'kind': 'ease'}}}}}}. Received: {type(candidates).__name__}"
        )
    section: dict[str, Any] = {"kind": AUTO}
    if candidates is not None:
        section["candidates"] = {name: dict(values) for name, values in candidates.items()}
    values = {"data": _NO_TABLES, "split": {"kind": split.kind}, "model": section, "seed": seed}
    config = RunConfig.of(values | {"time_budget": time_budget}, "auto")
    return chosen_by(config, split, bootstrap=bootstrap, progress=progress)


def chosen_by(
    config: RunConfig,
    split: Split,
    *,
    bootstrap: int = 1000,
    progress: Console | bool | None = None,
) -> AutoResult:
    """Does what `auto` does, by the config of a run of `model.kind: auto`.

    Args, raises: as in `auto`; the time budget is 15 minutes if the config has none.
    """
    budget, seed = config.time_budget or _BUDGET, config.seed
    started = time.perf_counter()
    if not isinstance(progress, Console):
        progress = Console(stderr=True, quiet=progress is False)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    part = validation_part(split, seed=seed)
    configs = candidate_configs(config, split)
    in_epochs = sum(one.by_gradient for one in configs.values())
    trials: list[Trial] = []
    members: dict[str, _Member] = {}
    for name, one in configs.items():
        begin = time.perf_counter()
        # What was fitted once is fitted again at the end, at most in the same time and more data.
        longest = max((trial.seconds for trial in trials), default=0.0)
        share = budget - (begin - started) - _AGAIN * longest
        if one.by_gradient:
            share /= (1 + _AGAIN) * in_epochs
            in_epochs -= 1
            one = one.model_copy(update={"time_budget": share})
        try:
            if share < _LEAST and trials:
                raise BudgetError("no time is left")
            model: Any = trained_model(one.resolved(part.train), part.train)
        except BudgetError:
            trials.append(Trial(name, None, time.perf_counter() - begin, left_out=_NO_TIME))
            say(f"{name}: {_NO_TIME}")
            continue
        report = evaluate(model, part, name=name, bootstrap=0, progress=False)
        trials.append(Trial(name, report, time.perf_counter() - begin))
        say(_line(trials[-1]))
        # The best of each kind may be a member of a blend.
        before = members.get(one.model.kind)
        if before is None or _value(report) > _value(before.trial.report):
            members[one.model.kind] = _Member(trials[-1], one, model)
    left = budget - (time.perf_counter() - started)
    blend = _blended(members, part, split, seed, left, say)
    if blend is not None:
        trials.append(blend.trial)
        say(_line(blend.trial))
    left = budget - (time.perf_counter() - started)
    stack = _stacked(members, blend, part, split, seed, left, say)
    if stack is not None:
        trials.append(stack.trial)
        say(_line(stack.trial))
    # Of a stack more is known than its figure on the validation part.
    passed = stack is not None and isinstance(stack.choice, ChosenStack) and stack.choice.better
    failed = stack.trial.name if stack is not None and not passed else None
    tried = [one for one in trials if one.report is not None and one.name != failed]
    if not tried:
        raise InputError(
            "auto: no candidate fits into the time budget; pass a larger one. "
            f"Received: {budget:g} s"
        )
    best = max(tried, key=lambda trial: _value(trial.report))
    trials = [_compared(trial, best, bootstrap, seed) for trial in trials]
    if stack is not None and passed:
        chosen, reason = trials[-1], _reason_of_stack(stack)
    else:
        chosen = next(t for t in trials if t.name != failed and (t.name == best.name or _even(t)))
        reason = _reason(chosen, best, trials)
    say(reason)
    composed = next((c for c in (blend, stack) if c and c.trial.name == chosen.name), None)
    if composed is not None:
        say(f"fitting {', '.join(composed.choice.factories)} on all training events")
        model = composed.choice.fit(split.train)
    else:
        one = configs[chosen.name]
        if one.by_gradient:
            left = budget - (time.perf_counter() - started)
            # There are more events than before, and the budget must not cost the result.
            least = 2 * _AGAIN * chosen.seconds + _LEAST
            one = one.model_copy(update={"time_budget": max(left, least)})
        say(f"fitting {chosen.name} on all training events")
        model = trained_model(one.resolved(split.train), split.train)
    return AutoResult(model, chosen.name, trials, reason)


@dataclass(frozen=True)
class _Member:
    """A candidate that was fitted on the validation's training events."""

    trial: Trial
    config: RunConfig
    model: Any


@dataclass(frozen=True)
class _Composed:
    trial: Trial
    choice: ChosenBlend | ChosenStack


def _blended(
    members: Mapping[str, _Member],
    part: Split,
    split: Split,
    seed: int,
    left: float,
    say: Callable[[str], None],
) -> _Composed | None:
    """The blend that validation chooses; None if one model is as good, or there is no time."""
    fit = sum(member.trial.seconds for member in members.values())
    if len(members) < 2:
        say("no blend: there is one kind of model")
        return None
    if left < _AGAIN * fit + _LEAST:
        say("no blend: there is no time to train its members again")
        return None
    begin = time.perf_counter()
    models = _named(members)
    there = {name: partial(_given, one.model) for name, one in models.items()}
    choice = choose_blend(there, split, seed=seed)
    if not choice.options:
        say("no blend of the best of each kind is better than one of them beyond noise")
        return None
    blend = Blend({name: models[name].model for name in choice.factories}, **choice.options)
    name = f"blend of {', '.join(models[name].trial.name for name in choice.factories)}"
    report = evaluate(blend, part, name=name, bootstrap=0, progress=False)
    if choice.apart is not None and len(choice.apart) == len(report.users):
        report = _with_values(report, choice.apart)
    again = {name: partial(_trained, models[name].config) for name in choice.factories}
    return _Composed(
        Trial(name, report, time.perf_counter() - begin), replace(choice, factories=again)
    )


def _blend_of(choice: Any, members: Mapping[str, Any]) -> Blend:
    return Blend({name: members[name] for name in choice.factories}, **choice.options)


def _with_values(report: Report, values: np.ndarray) -> Report:
    """The report with another NDCG@10 of each user: weights look better where they were chosen."""
    total = {**report.metrics["total"], _METRIC: float(values.mean())}
    per_user = {**report.slice_per_user["total"], _METRIC: values}
    return replace(
        report,
        metrics={**report.metrics, "total": total},
        slice_per_user={**report.slice_per_user, "total": per_user},
    )


def _stacked(
    members: Mapping[str, _Member],
    blend: _Composed | None,
    part: Split,
    split: Split,
    seed: int,
    left: float,
    say: Callable[[str], None],
) -> _Composed | None:
    """The stack of the best of each kind; None if there is one kind, or no time.

    Each fold but the validation part, and the end, train all members. Unseen items, of which a head
    has few examples, keep the order of the member that ranks them best.
    """
    if len(members) < 2:
        say("no stack: there is one kind of model")
        return None
    fit = sum(member.trial.seconds for member in members.values())
    users = len(part.targets()[0])
    folds = next((n for n in range(_FOLDS, 1, -1) if _seconds_of_stack(n, fit, users) < left), 0)
    if not folds:
        say("no stack: there is no time to train all on earlier events")
        return None
    begin = time.perf_counter()
    models = _named(members)
    again = {name: partial(_trained_once, one, part) for name, one in models.items()}
    options: dict[str, Any] = {"cold": _best_of_cold(models), "folds": folds, "seed": seed}
    if blend is not None:
        options["rivals"] = {"blend": partial(_blend_of, blend.choice)}
    try:
        choice = choose_stack(again, split, progress=False, **options)
    except InputError as error:
        say(f"no stack: {error}")
        return None
    name = f"stack of {', '.join(member.trial.name for member in members.values())}"
    return _Composed(Trial(name, choice.report, time.perf_counter() - begin), choice)


def _seconds_of_stack(folds: int, fit: float, users: int) -> float:
    """A bound of the time for a stack and for fitting it at the end."""
    heads = sum(folds - 1 - place for place in range(folds // 2)) + folds
    return _LEAST + (folds + 1) * _AGAIN * fit + (folds // 2 + 1) * _BUILD + heads * users * _HEAD


def _best_of_cold(models: Mapping[str, _Member]) -> str | None:
    """The member that ranks unseen items best among themselves; None if there are none."""
    found = {
        name: report.metrics["cold"][_METRIC]
        for name, member in models.items()
        if (report := member.trial.report) is not None and report.counts["cold"]["users"]
    }
    return max(found, key=lambda name: found[name]) if found else None


def _named(members: Mapping[str, _Member]) -> dict[str, _Member]:
    found: dict[str, _Member] = {}
    for kind, member in members.items():
        name = _NOT_NAMED.sub("_", kind).strip("_0123456789") or "model"
        while name in found:
            name += "_"
        found[name] = member
    return found


def _trained_once(member: _Member, part: Split, train: Interactions) -> Any:
    """The member itself, if these are the events that it was trained on."""
    same = train.users.fingerprint == part.train.users.fingerprint
    return member.model if same else _trained(member.config, train)


def _given(model: Any, train: Interactions) -> Any:
    return model


def _trained(config: RunConfig, train: Interactions) -> Any:
    return trained_model(config.resolved(train), train)


def candidate_configs(config: RunConfig, split: Split) -> dict[str, RunConfig]:
    """Returns the candidates of a config of `model.kind: auto`, checked.

    Raises:
      InputError: there are none, or one is no config of a model that ranks the whole catalogue.
    """
    given = cast(AutoSection, config.model).candidates
    if given is None:
        given = default_candidates(split.train, config.split.kind)
    if not given:
        raise InputError("auto: candidates must name at least one model. Received: none")
    return {name: _candidate(name, config, values) for name, values in given.items()}


def _candidate(name: str, config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    # The tables are those of the split.
    given = {"data": _NO_TABLES, "split": config.split.model_dump(), "seed": config.seed}
    found = RunConfig.of({**given, **values}, f"auto: {name}")
    if found.model.kind in ("ranker", AUTO, BLEND):
        raise InputError(
            f"auto: {name}: must be a single model that ranks the whole catalogue. "
            f"Received: {found.model.kind}"
        )
    return found


def _line(trial: Trial) -> str:
    figure = f"NDCG@10 {_value(trial.report):.4f} on the validation part"
    return f"{trial.name}: {figure}, {trial.seconds:.0f} s"


def _value(report: Report | None) -> float:
    return float("nan") if report is None else report.metrics["total"][_METRIC]


def _compared(trial: Trial, best: Trial, bootstrap: int, seed: int) -> Trial:
    if trial.report is None or best.report is None or trial.name == best.name:
        return trial
    pair = paired_bootstrap(
        best.report.per_user[_METRIC],
        trial.report.per_user[_METRIC],
        bootstrap=bootstrap,
        seed=seed,
    )
    return Trial(trial.name, trial.report, trial.seconds, pair)


def _even(trial: Trial) -> bool:
    """Whether the best model is better than this one by little, and not beyond noise."""
    against: PairedDifference | None = trial.against
    if against is None:
        return False
    best = _value(trial.report) + against.difference
    return against.low <= 0 and against.difference <= _LITTLE * best


def _reason_of_stack(stack: _Composed) -> str:
    """Why the stack was chosen."""
    row = stack.choice.table.iloc[-1]
    return (
        f"{stack.trial.name} is better than its best member or their blend on the users of its "
        f"latest folds: {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] of NDCG@10"
    )


def _reason(chosen: Trial, best: Trial, trials: Sequence[Trial]) -> str:
    """Why a candidate was chosen."""
    tried = [trial for trial in trials if trial.report is not None]
    left_out = len(trials) - len(tried)
    more = f" ({left_out} did not fit into the time budget)" if left_out else ""
    if len(tried) == 1:
        return f"{chosen.name} is the only model that was tried{more}"
    if chosen.against is None:
        simpler = ""
        if chosen != tried[0]:
            simpler = ", and the simpler ones are worse by more than 1 % or noise"
        return f"{chosen.name} is the best of {len(tried)} models{more}{simpler}"
    return (
        f"{chosen.name} is the simplest within 1 % and noise of the best, {best.name}{more}: "
        f"{-chosen.against.difference:+.4f} "
        f"[{-chosen.against.high:+.4f}, {-chosen.against.low:+.4f}] of NDCG@10"
    )
