"""The blend and the stack that `auto` makes of the best models of each kind."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Report, evaluate
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.training.auto_result import Trial
from tfrec_fusion.training.blend_choice import FORMS, ChosenBlend, choose_blend
from tfrec_fusion.training.blend_fold import most_users
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.recipes import trained_model
from tfrec_fusion.training.stack_choice import ChosenStack, choose_stack

LEAST = 10.0
"""Seconds for which a training is worth beginning."""

AGAIN = 1.5
"""Time to fit again on all events, relative to the first time."""

_METRIC = "ndcg@10"
_BLEND_FOLDS = 4  # of a blend, of random parts
_LEAST_USERS = 1000  # to measure a blend
_FOLDS = 5  # of a stack
_MEASURED = 4e-7  # seconds to measure a blend for one user, item and member
_SHARE = 0.25  # of the time left, to measure a blend
_BUILD = 6.0  # seconds to build a head
_HEAD = 0.012  # seconds to train a head on the candidates of one user
_NOT_NAMED = re.compile(r"\W")  # in the name of a member


@dataclass(frozen=True)
class Member:
    """A candidate that was fitted on the validation's training events."""

    trial: Trial
    config: RunConfig
    model: Any


@dataclass(frozen=True)
class Composed:
    """A blend or a stack of members, and how it was chosen: on so many folds."""

    trial: Trial
    choice: ChosenBlend | ChosenStack
    folds: int


def blended(
    members: Mapping[str, Member],
    part: Split,
    split: Split,
    seed: int,
    left: float,
    say: Callable[[str], None],
) -> Composed | None:
    """Returns the blend that validation chooses; None if a model is as good, or without time.

    Each fold but the validation part, and the end, train all members.
    """
    fit = sum(member.trial.seconds for member in members.values())
    if len(members) < 2:
        say("no blend: there is one kind of model")
        return None
    users, each = len(part.targets()[0]), _MEASURED * len(part.train.catalogue) * len(members)
    most = max(_LEAST_USERS, int(_SHARE * left / each))
    if left < AGAIN * fit + LEAST + each * min(users, most):
        say("no blend: there is no time to train its members again")
        return None
    begin = time.perf_counter()
    models = named(members)
    once = {name: partial(_trained_once, one, part) for name, one in models.items()}
    folds = _folds_of_blend(part, len(members), fit, left, each)
    try:
        choice = choose_blend(once, split, folds=folds, users=most, seed=seed, progress=False)
    except InputError as error:
        if folds == 1:
            raise
        say(f"the blend is chosen on the validation part alone: {error}")
        folds = 1
        choice = choose_blend(once, split, users=most, seed=seed)
    if not choice.options:
        on = f", on {folds} folds" if folds > 1 else ""
        say(f"no blend of the best of each kind is better than one of them beyond noise{on}")
        return None
    blend = Blend({name: models[name].model for name in choice.factories}, **choice.options)
    name = f"blend of {', '.join(models[name].trial.name for name in choice.factories)}"
    report = evaluate(blend, part, name=name, bootstrap=0, progress=False)
    if choice.apart is not None and len(choice.apart) == len(report.users):
        report = _with_values(report, choice.apart)
    again = {name: partial(_trained, models[name].config) for name in choice.factories}
    trial = Trial(name, report, time.perf_counter() - begin)
    return Composed(trial, replace(choice, factories=again), folds)


def _folds_of_blend(part: Split, members: int, fit: float, left: float, each: float) -> int:
    """Number of folds: of random parts as many as there is time and memory for, else 1.

    `each` is the time to measure a user.
    """
    if part.kind != "random":
        return 1
    users = max(1, len(part.targets()[0]))
    held = most_users(part.train, members, len(FORMS)) // users
    held = min(held, int(_SHARE * left / each) // users)
    # The members of the first fold are fitted.
    timed = int((left - AGAIN * fit - LEAST + fit) / max(fit + each * users, 1e-3))
    return max(1, min(_BLEND_FOLDS, held, timed))


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


def stacked(
    members: Mapping[str, Member],
    blend: Composed | None,
    part: Split,
    split: Split,
    seed: int,
    left: float,
    say: Callable[[str], None],
) -> Composed | None:
    """Returns the stack of the best of each kind; None if there is one kind, or no time.

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
    models = named(members)
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
    return Composed(Trial(name, choice.report, time.perf_counter() - begin), choice, folds)


def _seconds_of_stack(folds: int, fit: float, users: int) -> float:
    """A bound of the time for a stack and for fitting it at the end."""
    heads = sum(folds - 1 - place for place in range(folds // 2)) + folds
    return LEAST + (folds + 1) * AGAIN * fit + (folds // 2 + 1) * _BUILD + heads * users * _HEAD


def _best_of_cold(models: Mapping[str, Member]) -> str | None:
    """The member that ranks unseen items best among themselves; None if there are none."""
    found = {
        name: report.metrics["cold"][_METRIC]
        for name, member in models.items()
        if (report := member.trial.report) is not None and report.counts["cold"]["users"]
    }
    return max(found, key=lambda name: found[name]) if found else None


def named(members: Mapping[str, Member]) -> dict[str, Member]:
    """Returns the members by names that a blend or a stack takes, made of their kinds."""
    found: dict[str, Member] = {}
    for kind, member in members.items():
        name = _NOT_NAMED.sub("_", kind).strip("_0123456789") or "model"
        while name in found:
            name += "_"
        found[name] = member
    return found


def _trained_once(member: Member, part: Split, train: Interactions) -> Any:
    """The member itself, if these are the events that it was trained on."""
    known = part.train
    same = (
        train.users.fingerprint == known.users.fingerprint
        and np.array_equal(train.user, known.user)
        and np.array_equal(train.item, known.item)
    )
    return member.model if same else _trained(member.config, train)


def _trained(config: RunConfig, train: Interactions) -> Any:
    return trained_model(config.resolved(train), train)
