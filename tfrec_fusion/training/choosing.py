"""Chooses the model for a data set by validation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import PairedDifference, Report, evaluate, paired_bootstrap
from tfrec_fusion.training.auto_candidates import default_candidates
from tfrec_fusion.training.auto_result import AutoResult, Trial
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.recipes import trained_model
from tfrec_fusion.training.time_budget import seconds_of

_METRIC = "ndcg@10"
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
      >>> found = tff.auto(split, time_budget="2m", progress=False)
      >>> found.name in [trial.name for trial in found.trials]
      True
    """
    budget = _seconds(time_budget)
    started = time.perf_counter()
    if not isinstance(progress, Console):
        progress = Console(stderr=True, quiet=progress is False)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    part = split.validation(seed=seed)
    if candidates is None:
        candidates = default_candidates(part.train, timed=split.kind == "temporal")
    configs = {name: _config(name, split, values, seed) for name, values in candidates.items()}
    if not configs:
        raise InputError("auto: candidates must name at least one model. Received: none")
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


def _seconds(value: str | float) -> float:
    try:
        return seconds_of(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"auto: time_budget {error}. Received: {value!r}") from None


def _config(name: str, split: Split, values: Mapping[str, Any], seed: int) -> RunConfig:
    """The config of a candidate; the tables are those of the split, so it names none."""
    data = {"interactions": "", "items": ""}
    given = {"data": data, "split": {"kind": split.kind}, "seed": seed, **values}
    config = RunConfig.of(given, f"auto: {name}")
    if config.model.kind == "ranker":
        raise InputError(
            f"auto: {name}: must be a model that ranks the whole catalogue. Received: a ranker"
        )
    return config


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
