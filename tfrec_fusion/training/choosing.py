"""Chooses the model for a data set by validation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from rich.console import Console

from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import PairedDifference, Report, evaluate, paired_bootstrap
from tfrec_fusion.training.auto_candidates import default_candidates
from tfrec_fusion.training.auto_result import AutoResult, Trial
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.model_sections import AUTO, AutoSection
from tfrec_fusion.training.recipes import trained_model

_METRIC = "ndcg@10"
_NO_TABLES = {"interactions": "", "items": ""}
_BUDGET = 900.0  # seconds
_LEAST = 10.0  # seconds for which a training is worth beginning


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
    events; the test events of `split` stay unseen. The simplest model wins whose NDCG@10 is not
    below the best by more than noise: the 95 % interval of a paired bootstrap over users includes
    0. It is fitted again on all training events.

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

    part = split.validation(seed=seed)
    configs = candidate_configs(config, split)
    in_epochs = sum(config.by_gradient for config in configs.values())
    trials: list[Trial] = []
    for name, config in configs.items():
        begin = time.perf_counter()
        # What was fitted once is fitted again at the end, at most in the same time and more data.
        longest = max((trial.seconds for trial in trials if trial.report is not None), default=0.0)
        left = budget - (begin - started) - 1.5 * longest
        if config.by_gradient:
            share = left / (2.5 * in_epochs)
            in_epochs -= 1
            config = config.model_copy(update={"time_budget": share})
        else:
            share = left
        if share < _LEAST and trials:
            trials.append(Trial(name, None, 0.0, left_out="no time was left"))
            say(f"{name}: no time is left")
            continue
        report = evaluate(_fitted(config, part), part, name=name, bootstrap=0)
        seconds = time.perf_counter() - begin
        trials.append(Trial(name, report, seconds))
        say(f"{name}: NDCG@10 {_value(report):.4f} on the validation part, {seconds:.0f} s")
    best = max((t for t in trials if t.report is not None), key=lambda t: _value(t.report))
    trials = [_compared(trial, best, bootstrap, seed) for trial in trials]
    chosen = next(t for t in trials if t.report is not None and (t.against is None or _even(t)))
    reason = _reason(chosen, best)
    say(reason)
    config = configs[chosen.name]
    left = budget - (time.perf_counter() - started)
    if config.by_gradient:
        config = config.model_copy(update={"time_budget": max(left, _LEAST)})
    model = trained_model(config.resolved(split.train), split.train)
    return AutoResult(model, chosen.name, trials, reason)


def candidate_configs(config: RunConfig, split: Split) -> dict[str, RunConfig]:
    """Returns the candidates of a config of `model.kind: auto`, checked.

    Raises:
      InputError: there are none, or one is no config of a model that ranks the whole catalogue.
    """
    given = cast(AutoSection, config.model).candidates
    if given is None:
        given = default_candidates(split.train, timed=config.split.kind == "temporal")
    if not given:
        raise InputError("auto: candidates must name at least one model. Received: none")
    return {name: _candidate(name, config, values) for name, values in given.items()}


def _candidate(name: str, config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    # The tables are those of the split.
    given = {"data": _NO_TABLES, "split": config.split.model_dump(), "seed": config.seed}
    found = RunConfig.of({**given, **values}, f"auto: {name}")
    if found.model.kind in ("ranker", AUTO):
        raise InputError(
            f"auto: {name}: must be a model that ranks the whole catalogue. "
            f"Received: {found.model.kind}"
        )
    return found


def _fitted(config: RunConfig, part: Split) -> Any:
    return trained_model(config.resolved(part.train), part.train)


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
    """Whether the best model is not better than this one beyond noise."""
    against: PairedDifference | None = trial.against
    return against is not None and against.low <= 0


def _reason(chosen: Trial, best: Trial) -> str:
    if chosen.against is None:
        return f"{chosen.name} is the best, and the simpler models are worse beyond noise"
    return (
        f"{chosen.name} is the simplest that is not worse than the best, {best.name}, beyond "
        f"noise: [{-chosen.against.high:+.4f}, {-chosen.against.low:+.4f}] of NDCG@10"
    )
