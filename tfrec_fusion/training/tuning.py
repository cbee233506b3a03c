"""Searches the options of a run's config on validation events."""

from __future__ import annotations

import gc
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tfrec_fusion._compat import keras, optional
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.evaluation.ranking_report import evaluate_ranker
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.inputs import load_split, record
from tfrec_fusion.training.progress import duration
from tfrec_fusion.training.recipes import trained_model, within_budget
from tfrec_fusion.training.spaces import (
    Dimension,
    checked_space,
    default_space,
    given_values,
    own_values,
    suggested,
    with_values,
)
from tfrec_fusion.training.study import DEFAULT, DUPLICATE, NOTE, Study, opened_study
from tfrec_fusion.training.time_budget import seconds_of
from tfrec_fusion.training.tuning_result import TuningResult

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_METRIC = re.compile(r"(ndcg|recall|hr|mrr|map)@([1-9]\d*)")
_TRIALS = 20  # without a number of trials and a budget
# Shares of the time left that a planned trial may train; the first has the evaluations to come.
_FIRST, _LAST = 0.5, 0.9
_OVER = 1.05  # of the budget, at which a training in epochs ends
_REPEATS = 20  # samples in a row that were tried before, after which a space is exhausted
_EVERY = 30.0  # seconds between two lines within a trial


def tune(
    config: RunConfig,
    folder: str | os.PathLike,
    *,
    space: Mapping[str, Mapping[str, Any] | Dimension] | None = None,
    trials: int | None = None,
    time_budget: float | str | None = None,
    metric: str | None = None,
    seed: int = 0,
    progress: Console | bool | None = None,
) -> TuningResult:
    """Searches the options of a run's config on `split.validation()`; test events stay unseen.

    The first trial is the config as it is, so the best is never worse on validation. Optuna's TPE
    sampler (Bergstra et al., NeurIPS 2011) chooses those after it. A model that is trained in
    epochs is evaluated after each, and ends early where it is below the median of the others.

    The study is kept in the folder; the same call goes on after a kill: finished trials are not
    repeated, and what was running is tried again. More trials or time extend it. The folder has:

    - `best.yaml`: the config of the best trial, for `Run.start` and `tfrec-fusion train --config`;
      `validation_score` gives its figure again;
    - `trials.csv` and `trials.png`: all trials, their course and the importance of the options;
    - `logs`: TensorBoard's events, with the table of HParams;
    - `study.json` and `journal.log`: the study itself.

    Args:
      config: of the run to tune.
      folder: new, empty, or that of the same study.
      space: key path -> `{"low":, "high":, "log":}` or `{"choices":}`; see
        `tfrec_fusion.training.spaces.Dimension`. By default one that suits the kind of model.
      trials: number of trials of the study, those of earlier calls included; 20 without
        `time_budget`.
      time_budget: seconds, or a text such as "20m", that all trials may take, those of earlier
        calls included. No trial starts that would not end in time, judged by the median of those
        before. A training in epochs that is not over at 105 % is left for another call; a model
        that is fitted at once cannot be stopped.
      metric: to maximise: `ndcg`, `recall`, `hr`, `mrr` or `map` with a cut-off, by default
        "ndcg@10"; a ranker has "gauc".
      seed: of the sampler; the config's own seed is that of each training.
      progress: a rich console; None is standard error, False no output.

    Raises:
      ImportError: Optuna is not installed.
      InputError: a bad argument or space, another study or other files in the folder, changed
        inputs, no evaluated user, or the config itself cannot be trained or does not fit into the
        budget.

    Example:
      >>> data = tff.training.RunConfig.load("shop.yaml").data.model_dump()
      >>> ease = tff.training.RunConfig.of({"data": data, "model": {"kind": "ease"}})
      >>> result = tff.training.tune(ease, "tuned", trials=1, progress=False)
      >>> result.best.model.kind
      'ease'
    """
    optional("optuna", "tune")
    trials, budget = _checked(trials, time_budget, seed)
    metric = _metric(metric, config)
    if config.from_run is not None:
        raise InputError(
            "tune: the run of from_run may have seen the validation events; leave it out. "
            f"Received: {config.from_run}"
        )
    inputs = record(config.data)
    part = load_split(config).validation()
    resolved = config.resolved(part.train)
    if space is None:
        checked = default_space(resolved, part.train)
    else:
        checked = checked_space(space, resolved)
    settings = {
        "config": config.model_dump(mode="json", exclude={"recorded"}),
        "space": {key: one.model_dump() for key, one in checked.items()},
        "metric": metric,
        "seed": seed,
    }
    if progress is None or progress is True:
        progress = Console(file=sys.stderr, highlight=False)
    with opened_study(folder, settings, inputs) as study:
        tuning = _Tuning(study, config, resolved, checked, part, metric, progress or None)
        return tuning.run(trials, budget)


def validation_score(
    config: RunConfig,
    split: Split,
    *,
    metric: str | None = None,
    report: Callable[[float, int], None] | None = None,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> float:
    """Trains the model of a config and evaluates it, as a trial of `tune` does.

    Args:
      config: of the model; its data are not read.
      split: events to train and evaluate on, e.g. `split.validation()`.
      metric: as in `tune`.
      report: called after each epoch with the metric and the number of epochs done.
      callbacks: further callbacks of a training in epochs.

    Raises:
      InputError: the config does not fit the events, or no user can be evaluated.

    Example:
      >>> data = tff.training.RunConfig.load("shop.yaml").data.model_dump()
      >>> ease = tff.training.RunConfig.of({"data": data, "model": {"kind": "ease"}})
      >>> 0 <= validation_score(ease, split.validation()) <= 1
      True
    """
    metric = _metric(metric, config)
    each = _EachEpoch(split, metric, report)
    model = trained_model(config.resolved(split.train), split.train, [*(callbacks or []), each])
    return _score(model, split, metric) if each.value is None else each.value


class _Tuning:
    """One call of `tune` with an open study."""

    def __init__(self, study: Study, config, resolved, space, part: Split, metric: str, console):
        self._study, self._resolved, self._space = study, resolved, space
        self._part, self._metric, self._console = part, metric, console
        self._given = given_values(config)
        self._base = self._given
        if any(key.startswith("examples.") for key in space):
            kind = {"kind": resolved.examples.kind}
            self._base = {**self._given, "examples": {**kind, **self._given.get("examples", {})}}

    def run(self, trials: int | None, budget: float | None) -> TuningResult:
        began, study = time.perf_counter(), self._study
        retried = study.start(own_values(self._space, self._resolved))
        if study.trials() or retried:
            again = f", {retried} of them interrupted" if retried else ""
            self._say(f"tune: going on after {len(study.trials()) + retried} trials{again}")
        spent = sum(_seconds(one) for one in study.trials())
        limit, repeated = None if budget is None else began - spent + budget, 0
        while trials is None or len(study.trials()) < trials:
            left = None if limit is None else limit - time.perf_counter()
            if left is not None and self._too_late(left):
                break
            hard = None if limit is None or budget is None else limit + (_OVER - 1) * budget
            outcome = self._trial(trials, left, hard)
            if outcome == "out of time":
                break
            repeated = repeated + 1 if outcome == "repeated" else 0
            if repeated == _REPEATS:
                self._say("tune: the space has no more values to try")
                break
        return self._result(plots=True)

    def _too_late(self, left: float) -> bool:
        """Whether no further trial can end in the time left."""
        usual = self._usual()
        if left > 0 and (usual is None or usual <= left):
            return False
        takes = "" if usual is None else f", and a trial takes about {duration(usual)}"
        self._say(f"tune: {duration(left)} left{takes}, so no other starts")
        return True

    def _usual(self) -> float | None:
        whole = self._study.complete()
        return statistics.median(map(_seconds, whole)) if whole else None

    def _trial(self, trials: int | None, left: float | None, hard: float | None) -> str:
        """Runs one trial and returns how it ended."""
        from optuna import TrialPruned
        from optuna.trial import TrialState

        study, trial, started = self._study, self._study.ask(), time.perf_counter()
        default = DEFAULT in trial.user_attrs
        if default:
            values = self._given
            # The sampler learns from those of its values that are within the space.
            for key in own_values(self._space, self._resolved):
                self._space[key].suggest(trial, key)
        else:
            values = with_values(self._base, suggested(trial, self._space, self._resolved))
            twin = study.twin(trial)
            if twin is not None:
                trial.set_user_attr(DUPLICATE, twin)
                study.optuna.tell(trial, state=TrialState.FAIL)
                return "repeated"
        state, value, note = TrialState.COMPLETE, None, ""
        try:
            config = self._within(RunConfig.of(values, "tune"), left)
            if config.time_budget is None and self._limited(values, left):
                values = {k: v for k, v in values.items() if k != "time_budget"}
                values["steps_per_epoch"] = config.steps_per_epoch
            trial.set_user_attr("config", values)
            value = validation_score(
                config,
                self._part,
                metric=self._metric,
                report=self._reporter(trial, config),
                callbacks=[] if hard is None else [_Deadline(hard)],
            )
        except TrialPruned:
            state, note = TrialState.PRUNED, "below the median"
        except _OutOfTime:
            self._say(f"tune: trial {trial.number} was not over in time; another call tries it")
            return "out of time"
        except InputError as error:
            if default:
                raise
            state, note = TrialState.FAIL, str(error)
        trial.set_user_attr("seconds", time.perf_counter() - started)
        trial.set_user_attr(NOTE, note)
        study.optuna.tell(trial, value, state=state)
        self._told(trials, left, started)
        gc.collect()
        return "told"

    def _limited(self, values: Mapping[str, Any], left: float | None) -> bool:
        """Whether the length of a training is planned by a time budget."""
        if not self._resolved.by_gradient:
            return False
        usual = self._usual()
        return values.get("time_budget") is not None or (
            left is not None and (usual is None or 1.5 * usual > left)
        )

    def _within(self, config: RunConfig, left: float | None) -> RunConfig:
        """The config with the steps that fit into its own time budget and the time left."""
        given = given_values(config)
        if not self._limited(given, left):
            return config
        budgets = [] if config.time_budget is None else [config.time_budget]
        if left is not None:
            budgets.append(left * (_FIRST if self._usual() is None else _LAST))
        limited = config.model_copy(update={"time_budget": min(budgets)})
        planned = within_budget(limited.resolved(self._part.train), self._part.train)
        update = {"time_budget": planned.time_budget, "steps_per_epoch": planned.steps_per_epoch}
        return config.model_copy(update=update)

    def _reporter(self, trial, config: RunConfig) -> Callable[[float, int], None]:
        from optuna import TrialPruned

        epochs = config.resolved(self._part.train).epochs
        said = time.perf_counter()

        def report(value: float, epoch: int) -> None:
            nonlocal said
            trial.report(value, epoch)
            now = time.perf_counter()
            if now - said >= _EVERY:
                said = now
                self._say(
                    f"trial {trial.number}: epoch {epoch} of {epochs}, {self._metric} {value:.4f}"
                )
            if epoch != epochs and DEFAULT not in trial.user_attrs and trial.should_prune():
                raise TrialPruned

        return report

    def _told(self, trials: int | None, left: float | None, started: float) -> None:
        """Says how the last trial ended, and writes what there is to see."""
        result = self._result(plots=False)
        last = result.trials.iloc[-1]
        ended = f"{self._metric} {last.value:.4f}" if last.value == last.value else last.note
        of = "" if trials is None else f" of {trials}"
        took = time.perf_counter() - started
        if left is not None:
            rest = f"{duration(left - took)} left"
        else:
            done = result.trials["seconds"]
            rest = f"about {duration((trials or 0) * done.mean() - done.sum())} left"
        state = "" if last.state == "complete" else f"{last.state}: "
        self._say(
            f"trial {len(result.trials)}{of}: {state}{ended}, {took:.1f} s; best "
            f"{result.value:.4f} (trial {result.number}); {rest}"
        )

    def _result(self, plots: bool) -> TuningResult:
        best = self._study.complete()
        if not best:
            raise InputError(
                "tune: no trial ended within the time budget; pass a larger one or a smaller model"
            )
        result = TuningResult.of(self._study, self._metric, list(self._space))
        result.write(plots=plots)
        return result

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _EachEpoch(keras.callbacks.Callback):
    """Evaluates after each epoch."""

    def __init__(self, split: Split, metric: str, report: Callable[[float, int], None] | None):
        super().__init__()
        self._split, self._metric, self._report = split, metric, report
        self.value: float | None = None

    def on_epoch_end(self, epoch, logs=None):
        self.value = _score(self.model, self._split, self._metric)
        if self._report is not None:
            self._report(self.value, epoch + 1)


class _OutOfTime(Exception):  # noqa: N818, as KeyboardInterrupt
    """A training went beyond the time budget."""


class _Deadline(keras.callbacks.Callback):
    """Ends a training at a reading of `time.perf_counter`."""

    def __init__(self, at: float):
        super().__init__()
        self._at = at

    def on_train_batch_end(self, batch, logs=None):
        if time.perf_counter() > self._at:
            raise _OutOfTime


def _score(model, split: Split, metric: str) -> float:
    if metric == "gauc":
        return evaluate_ranker(model, split, slices=False, bootstrap=0, progress=False).gauc
    cut = int(metric.partition("@")[2])
    report = evaluate(model, split, k=(cut,), slices=False, bootstrap=0, progress=False)
    return float(report.metrics["total"][metric])


def _metric(metric: str | None, config: RunConfig) -> str:
    if config.model.kind == "ranker":
        if metric not in (None, "gauc"):
            raise InputError(f"tune: the metric of a ranker is gauc. Received: {metric!r}")
        return "gauc"
    metric = "ndcg@10" if metric is None else metric
    if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
        raise InputError(
            "tune: metric must be ndcg, recall, hr, mrr or map with a cut-off, e.g. ndcg@10. "
            f"Received: {metric!r}"
        )
    return metric


def _checked(trials, time_budget, seed) -> tuple[int | None, float | None]:
    for name, value, least in (("trials", trials, 1), ("seed", seed, 0)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and (not whole or value < least):
            raise InputError(
                f"tune: {name} must be a whole number of {least} or more. Received: {value!r}"
            )
    try:
        budget = None if time_budget is None else seconds_of(time_budget)
    except (TypeError, ValueError) as error:
        raise InputError(f"tune: time_budget {error}. Received: {time_budget!r}") from None
    return (_TRIALS if trials is None and budget is None else trials), budget


def _seconds(trial: FrozenTrial) -> float:
    return float(trial.user_attrs.get("seconds", 0.0))
