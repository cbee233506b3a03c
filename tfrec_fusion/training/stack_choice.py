"""Trains a `Stack` on out-of-fold scores, and tells on a validation period whether it is better."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import PairedDifference, Report, evaluate
from tfrec_fusion.evaluation.origin_result import OriginResult
from tfrec_fusion.evaluation.pooling import pool
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.stack import Stack
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.progress import WorkProgress
from tfrec_fusion.told_once import told_once
from tfrec_fusion.training.held_out_parts import held_out_parts, listed_parts
from tfrec_fusion.training.member_factories import (
    Factory,
    check_factories,
    check_whole,
    trained_members,
)
from tfrec_fusion.training.stack_folds import StackFold, fit_head

Rival = Callable[[Mapping[str, Model]], Model]

_METRIC = "ndcg@10"
_log = logging.getLogger(__name__)
_STACK = "stack"


@dataclass(frozen=True)
class ChosenStack:
    """A stack that was measured on held-out folds.

    Attributes:
      factories: name -> factory of the members.
      rivals: name -> function that makes another model of the members.
      best: name of the best member or rival.
      better: whether the stack is better than it beyond noise.
      config: the options of the stack.
      head_options: those of the head's training.
      folds: the out-of-fold examples, from the latest, that of the validation period.
      report: of the stack on the validation period.
      table: one row per model, over the users of all measured folds: its `ndcg@10`, `recall@20` and
        `cold ndcg@10`, and for the stack the `difference` of `ndcg@10` to `best` with its 95 %
        interval `low` and `high`. A user of several folds counts once for each, and is drawn
        once in the bootstrap.
    """

    factories: Mapping[str, Factory]
    rivals: Mapping[str, Rival]
    best: str
    better: bool
    config: StackConfig
    head_options: Mapping[str, Any]
    folds: Sequence[StackFold]
    report: Report
    table: pd.DataFrame

    def fit(self, train: Interactions) -> Model:
        """Trains the stack, or the best member or rival if the stack is not better."""
        if self.better:
            return self.fit_stack(train)
        _log.info("choose_stack: no better than %s, which is trained in its place", self.best)
        if self.best in self.factories:
            return self.factories[self.best](train)
        return self.rivals[self.best](trained_members("choose_stack", self.factories, train))

    def fit_stack(self, train: Interactions) -> Model:
        """Trains the members, and the head on all folds, whether or not the stack is better."""
        head = fit_head(self.folds, self.config, **self.head_options)
        members = trained_members("choose_stack", self.factories, train)
        stack: Any = Stack(members, head, **self.config.model_dump(exclude={"members"}))
        return stack


@told_once()
def choose_stack(
    factories: Mapping[str, Factory],
    split: Split,
    *,
    folds: int = 4,
    rivals: Mapping[str, Rival] | None = None,
    epochs: int = 12,
    learning_rate: float = 2e-3,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Console | bool | None = None,
    **options,
) -> ChosenStack:
    """Trains a stack on folds of the training events, and measures it on the latest of them.

    The test events stay unseen. A fold is a split of earlier events; the members are trained on its
    training events, and the head learns which of their candidates are test events. Of a temporal
    split, the latest fold is `split.validation()` and the others are the periods before it, each
    with a tenth of the events up to its end; of leave-one-out they are the events before, of random
    splits another random part; a given split goes on as its columns allow. The later half of the
    folds is measured, each by a head of the folds before it, so that nothing is measured by what
    knows it. At last `ChosenStack.fit` trains the head on all.

    Args:
      factories: name -> a function that trains a model on the events that it is given and returns
        it, as in `choose_blend`.
      split: the split whose training events are used.
      folds: number of folds, at least 2. All members are trained once for each, and by `fit`.
      rivals: name -> a function that makes another model of the members of a fold, e.g. a `Blend`,
        which the stack must be better than, too.
      epochs, learning_rate: see `fit_head`.
      bootstrap, seed: see `evaluation.paired_bootstrap`; `seed` is also that of the head.
      progress: a rich console; None is standard error, False no output.
      **options: of `StackConfig`, e.g. `candidates`.

    Raises:
      InputError: a factory is a model or returns one that was trained on other events, the members
        do not belong together, an argument is invalid, or there are no validation users.

    Example:
      >>> from tfrec_fusion.models.classic import EASE, Popularity
      >>> factories = {"ease": EASE().fit, "popular": Popularity().fit}
      >>> choice = tff.training.choose_stack(factories, split, folds=2, epochs=1, progress=False)
      >>> [*choice.table["model"]]
      ['ease', 'popular', 'stack']
    """
    counts = {"folds": (folds, 2), "epochs": (epochs, 1), "bootstrap": (bootstrap, 2)}
    for name, (value, least) in {**counts, "seed": (seed, 0)}.items():
        check_whole("choose_stack", name, value, least)
    if not isinstance(learning_rate, numbers.Real) or not 0 < learning_rate < math.inf:
        raise InputError(
            f"choose_stack: learning_rate must be a number above 0. Received: {learning_rate!r}"
        )
    check_factories("choose_stack", factories, split)
    rivals = dict(rivals or {})
    if _STACK in (names := [*factories, *rivals]) or len({*names}) < len(names):
        raise InputError(
            f"choose_stack: members and rivals must have different names, and {_STACK!r} is that "
            f"of the stack itself. Received: {', '.join(names)}"
        )
    if "members" in options:
        raise InputError(
            "choose_stack: the members are the factories; leave out members. "
            f"Received: {options['members']!r}"
        )
    options["members"] = {name: {} for name in factories}
    config = checked("choose_stack", StackConfig, options)
    head_options = {"epochs": epochs, "learning_rate": float(learning_rate), "seed": seed}
    found: list[StackFold] = []
    measured: list[dict[str, OriginResult]] = []
    parts = listed_parts("choose_stack", held_out_parts(split, folds, seed), folds, split)
    with WorkProgress("stack:", folds, "folds", console=progress, tell_end=False) as shown:
        for place in reversed(range(folds)):
            part = parts[place]
            models = trained_members("choose_stack", factories, part.train)
            fold = StackFold.of(models, part, config, seed)
            if place < folds // 2:
                head = fit_head(found, config, **head_options)
                made: dict[str, Any] = {name: rival(models) for name, rival in rivals.items()}
                made[_STACK] = Stack(models, head, **config.model_dump(exclude={"members"}))
                measured.append(
                    {
                        name: OriginResult.of(
                            evaluate(one, part, bootstrap=0, progress=progress), part, 0.0
                        )
                        for name, one in {**models, **made}.items()
                    }
                )
            found.insert(0, fold)
            shown.advance(state=f"{len(fold.inputs):,} users")
    table, best = _compared(measured, bootstrap, seed)
    better = bool(table["low"].iloc[-1] > 0)
    report = measured[-1][_STACK].report
    return ChosenStack(factories, rivals, best, better, config, head_options, found, report, table)


def _compared(
    measured: Sequence[Mapping[str, OriginResult]], bootstrap: int, seed: int
) -> tuple[pd.DataFrame, str]:
    """The table of `ChosenStack`, and the best member or rival."""

    def pooled(name: str, part: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        results = [fold[name] for fold in measured if part in fold[name].report.slice_per_user]
        values = [one.report.slice_per_user[part][metric][:, None] for one in results]
        users = [one.users_of(part) for one in results]
        if not values:
            return np.array([np.nan]), np.empty((0, 1))
        return pool(users, values, by_origin=False, bootstrap=bootstrap, seed=seed)

    names = [*measured[0]]
    found = {name: pooled(name, "total", _METRIC) for name in names}
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            _METRIC: float(found[name][0][0]),
            "recall@20": float(pooled(name, "total", "recall@20")[0][0]),
            f"cold {_METRIC}": float(pooled(name, "cold", _METRIC)[0][0]),
        }
        for name in names
    ]
    best = max(names[:-1], key=lambda name: found[name][0][0])
    (mean, resampled), (others, others_resampled) = found[_STACK], found[best]
    pair = PairedDifference.of(float(mean[0] - others[0]), (resampled - others_resampled)[:, 0])
    rows[-1] |= {"difference": pair.difference, "low": pair.low, "high": pair.high}
    return pd.DataFrame(rows), best
