"""Chooses the model for a data set by validation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rich.console import Console

from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import PairedDifference, Report, evaluate, paired_bootstrap
from tfrec_fusion.models import USER_TOWERS
from tfrec_fusion.told_once import told_once
from tfrec_fusion.training.auto_candidates import default_candidates
from tfrec_fusion.training.auto_compositions import (
    AGAIN,
    LEAST,
    Composed,
    Member,
    blended,
    stacked,
)
from tfrec_fusion.training.auto_result import AutoResult, Trial
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.held_out_parts import validation_part
from tfrec_fusion.training.member_factories import check_whole
from tfrec_fusion.training.model_sections import AUTO, COMPOSED, AutoSection
from tfrec_fusion.training.recipes import trained_model
from tfrec_fusion.training.stack_choice import ChosenStack
from tfrec_fusion.training.time_budget import BudgetError

_METRIC = "ndcg@10"
_NO_TABLES = {"interactions": "", "items": ""}
_BUDGET = 900.0  # seconds
_NO_TIME = "the time budget is too short"
_LITTLE = 0.01  # of the best model's NDCG@10, for a simpler one


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
    kind, where that is better than one of them; on random parts it takes up to 4 folds, if there is
    time to train the members on these too. `choose_stack` stacks them if there is time to train
    them on earlier events. The stack wins if it is better than its members and their blend beyond
    noise on the folds that `choose_stack` measures; else the simplest model whose NDCG@10 on the
    validation part is at most 1 % below the best, and not beyond noise: the 95 % interval of a
    paired bootstrap over users includes 0. The winner is fitted again on all training events.

    Args:
      split: the events; only `split.train` is read.
      time_budget: seconds, or a text such as "15m", for everything. Candidates are tried from the
        simplest on; those that are trained in epochs share what is left evenly, and train on fewer
        examples if they must. What does not fit is left out, and the result says so.
      candidates: name -> keys of a run's config, e.g. `{"EASE": {"model": {"kind": "ease"}}}`, from
        the simplest to the most complex; None takes those of `default_candidates`.
      seed: of the validation part, the trainings and the bootstrap.
      bootstrap: number of resamples, at least 2.
      progress: a rich console for a line for each model; None is standard error, False no output.

    Raises:
      InputError: the events cannot be split again, an invalid budget, candidate or number of
        resamples, or no candidate fits into the budget.

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


@told_once()
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
    check_whole("auto", "bootstrap", bootstrap, 2)
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
    members: dict[str, Member] = {}
    for name, one in configs.items():
        begin = time.perf_counter()
        # What was fitted once is fitted again at the end, at most in the same time and more data.
        longest = max((trial.seconds for trial in trials), default=0.0)
        share = budget - (begin - started) - AGAIN * longest
        if one.by_gradient:
            share /= (1 + AGAIN) * in_epochs
            in_epochs -= 1
            one = one.model_copy(update={"time_budget": share})
        try:
            if share < LEAST and trials:
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
        kind = _kind(one)
        before = members.get(kind)
        if before is None or _value(report) > _value(before.trial.report):
            members[kind] = Member(trials[-1], one, model)
    left = budget - (time.perf_counter() - started)
    blend = blended(members, part, split, seed, left, say)
    if blend is not None:
        trials.append(blend.trial)
        say(_line(blend.trial, blend.folds))
    left = budget - (time.perf_counter() - started)
    stack = stacked(members, blend, part, split, seed, left, say)
    if stack is not None:
        trials.append(stack.trial)
        say(_line(stack.trial, stack.folds))
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
            least = 2 * AGAIN * chosen.seconds + LEAST
            one = one.model_copy(update={"time_budget": max(left, least)})
        say(f"fitting {chosen.name} on all training events")
        model = trained_model(one.resolved(split.train), split.train)
    return AutoResult(model, chosen.name, trials, reason)


def _kind(config: RunConfig) -> str:
    """What is compared as one kind of model: sequence towers are one of their own each."""
    user = getattr(config.model, "user", None)
    if isinstance(user, str) and USER_TOWERS.class_of(user).encodes_positions:
        return user
    return config.model.kind


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
    if found.model.kind in ("ranker", AUTO, *COMPOSED):
        raise InputError(
            f"auto: {name}: must be a single model that ranks the whole catalogue. "
            f"Received: {found.model.kind}"
        )
    return found


def _line(trial: Trial, folds: int = 1) -> str:
    figure = f"NDCG@10 {_value(trial.report):.4f} on the validation part"
    chosen = f", chosen on {folds} folds" if folds > 1 else ""
    return f"{trial.name}: {figure}, {trial.seconds:.0f} s{chosen}"


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


def _reason_of_stack(stack: Composed) -> str:
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
