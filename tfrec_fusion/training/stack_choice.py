"""Trains a `Stack` on out-of-fold scores, and tells on a validation period whether it is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from rich.console import Console

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Report, evaluate, paired_bootstrap
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.stack import Stack
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.progress import WorkProgress
from tfrec_fusion.training.blend_choice import (
    Factory,
    check_factories,
    trained_members,
    validation_part,
)
from tfrec_fusion.training.stack_folds import StackFold, fit_head

_METRIC = "ndcg@10"


@dataclass(frozen=True)
class ChosenStack:
    """A stack that was measured on a validation period.

    Attributes:
      factories: name -> factory of the members.
      best: name of the best member.
      better: whether the stack is better than it beyond noise.
      config: the options of the stack.
      head_options: those of the head's training.
      folds: the out-of-fold examples, those of the validation period among them.
      report: of the stack on the validation period.
      table: one row per model: its `ndcg@10`, `recall@20` and `cold ndcg@10`, and for the stack the
        `difference` to the best member with its 95 % interval `low` and `high`.
    """

    factories: Mapping[str, Factory]
    best: str
    better: bool
    config: StackConfig
    head_options: Mapping[str, Any]
    folds: Sequence[StackFold]
    report: Report
    table: pd.DataFrame

    def fit(self, train: Interactions) -> Model:
        """Trains the members, and the head on all folds; or the best member, if no stack helps."""
        if not self.better:
            return self.factories[self.best](train)
        head = fit_head(self.folds, self.config, **self.head_options)
        members = trained_members("choose_stack", self.factories, train)
        stack: Any = Stack(members, head, **self.config.model_dump(exclude={"members"}))
        return stack


def choose_stack(
    factories: Mapping[str, Factory],
    split: Split,
    *,
    folds: int = 4,
    epochs: int = 12,
    learning_rate: float = 2e-3,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Console | bool | None = None,
    **options,
) -> ChosenStack:
    """Trains a stack on folds before `split.validation()`, and measures it there.

    The test events stay unseen. A fold is a split of earlier events; the members are trained on its
    training events, and the head learns which of their candidates are test events. Of a temporal
    split, the folds before the validation period are the periods before it, each with a tenth of
    the events up to its end; of leave-one-out they are the events before; of random splits they are
    drawn from the training events of the validation; a given split goes on as its columns allow. So
    no other fold knows the validation events. At last `ChosenStack.fit` trains the head on the
    validation period too.

    Args:
      factories: name -> a function that trains a model on the events that it is given and returns
        it, as in `choose_blend`.
      split: the split whose training events are used.
      folds: number of folds, at least 2; one is the validation period. All members are trained once
        for each, and by `fit`.
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
    if not isinstance(folds, int) or isinstance(folds, bool) or folds < 2:
        raise InputError(
            f"choose_stack: folds must be a whole number of 2 or more. Received: {folds!r}"
        )
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise InputError(
            f"choose_stack: epochs must be a whole number of 1 or more. Received: {epochs!r}"
        )
    check_factories("choose_stack", factories, split)
    options["members"] = {name: {} for name in factories}
    config = checked("choose_stack", StackConfig, options)
    head_options = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed}
    found: list[StackFold] = []
    with WorkProgress("stack:", folds, "folds", console=progress, tell_end=False) as shown:
        for part in held_out_parts(split, folds, seed):
            trained = trained_members("choose_stack", factories, part.train)
            if not found:
                validation, members = part, trained
            found.append(StackFold.of(trained, part, config, seed))
            shown.advance(state=f"{len(found[-1].inputs):,} users")
    head = fit_head(found[1:], config, **head_options)
    reports = {name: evaluate(one, validation, bootstrap=0) for name, one in members.items()}
    best = max(reports, key=lambda name: reports[name].metrics["total"][_METRIC])
    reports["stack"] = evaluate(
        Stack(members, head, **config.model_dump(exclude={"members"})), validation, bootstrap=0
    )
    pair = paired_bootstrap(
        reports["stack"].per_user[_METRIC],
        reports[best].per_user[_METRIC],
        bootstrap=bootstrap,
        seed=seed,
    )
    rows = [
        {
            "model": name,
            _METRIC: report.metrics["total"][_METRIC],
            "recall@20": report.metrics["total"]["recall@20"],
            f"cold {_METRIC}": report.metrics.get("cold", {}).get(_METRIC),
        }
        for name, report in reports.items()
    ]
    rows[-1] |= {"difference": pair.difference, "low": pair.low, "high": pair.high}
    table = pd.DataFrame(rows)
    return ChosenStack(
        factories, best, pair.low > 0, config, head_options, found, reports["stack"], table
    )


def held_out_parts(split: Split, count: int, seed: int) -> Iterator[Split]:
    """Yields splits of the training events, the validation part first; see `choose_stack`."""
    first = part = validation_part(split, seed=seed)
    for index in range(count):
        if index and first.kind == "random":
            part = validation_part(first, seed=seed + index)
        elif index:
            # Of a given split only the first part has validation events of its own.
            part = validation_part(
                replace(part, kind="none") if part.kind == "given" else part, seed=seed
            )
        yield part
