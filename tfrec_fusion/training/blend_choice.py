"""Chooses the members, weights and form of a blend on held-out parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend import Blend
from tfrec_fusion.progress import WorkProgress
from tfrec_fusion.told_once import told_once
from tfrec_fusion.training.blend_fold import BlendFold, most_users
from tfrec_fusion.training.blend_table import BlendTable
from tfrec_fusion.training.blend_trial import BlendTrial, mean_of_cold, total
from tfrec_fusion.training.held_out_parts import listed_parts, validation_parts
from tfrec_fusion.training.member_factories import (
    Factory,
    check_factories,
    check_whole,
    trained_members,
)

FORMS = ("rank", "zscore")
"""The forms that are tried by default."""


@dataclass(frozen=True)
class ChosenBlend:
    """A blend that was chosen on held-out parts, the folds.

    Attributes:
      factories: name -> factory, of the members that are in the blend.
      options: the arguments of `Blend`, but for the members; empty for a single member.
      table: one row per member, and the blend: `blend`, `ndcg@10`, `cold ndcg@10` where it was
        measured, the `difference` to the best member, by weights of the other half of the users,
        with its 95 % interval `low` and `high`, and `taken`; and a row for the order of unseen
        items, whose difference is that to the blend. A user of several folds counts once for each,
        and is drawn once in the bootstrap.
      users: number of distinct users that it was measured on, in all folds.
      apart: NDCG@10 of the blend for each user of the first fold, the validation part, in the order
        of `evaluate`, by weights that were chosen on the other half of the users; None for a single
        member.
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


@told_once()
def choose_blend(
    factories: Mapping[str, Factory],
    split: Split,
    *,
    forms: Sequence[str] = FORMS,
    steps: int = 20,
    k: float = 10.0,
    test: float | None = None,
    folds: int = 1,
    users: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Console | bool | None = None,
) -> ChosenBlend:
    """Chooses a blend on `split.validation()`; the test events stay unseen.

    It trains each member on the events before the validation period and chooses the weights of each
    form by `ensemble_selection` on all validation users. The best form is the blend, if it is
    better than the best member: weights that are chosen on a random half of the users are measured
    on the other half, and the 95 % interval of the paired difference must be above 0; else the
    member stays. At last, unseen items keep the order of the member that ranks them best among
    themselves, if that beats the blend there and does not lower the whole, or raises the whole and
    is as good there.

    Few validation users choose by chance. With more `folds` all this is done on the users of
    several held-out parts at once, and the members are trained once for each: of a random split the
    further folds are other random parts of the training events; of other splits they are the
    earlier parts of `choose_stack`. A user is in the same half in all folds.

    Args:
      factories: name -> a function that trains a model on the events that it is given and returns
        it. It is called with the training events of each fold, from the validation part on, and by
        `ChosenBlend.fit` with those of the end.
      split: the split whose training events are used.
      forms: values of `Blend(how=...)` to try.
      steps: of the selection; more make finer weights.
      k: see `BlendConfig`.
      test: share of the training events in the validation period; see `Split.validation`.
      folds: number of held-out parts.
      users: number of users to measure, of all folds together, if there are more: a sample. None
        takes as many as fit into 2 GiB.
      bootstrap, seed: see `evaluation.paired_bootstrap`.
      progress: of several folds: a rich console; None is standard error, False no output.

    Returns:
      The choice; `choice.fit(split.train)` trains it.

    Raises:
      InputError: a factory is a model or returns one that was trained on other events, the members
        do not belong together, an argument is invalid, a fold cannot be made, or there are no
        validation users.

    Example:
      >>> from tfrec_fusion.models.classic import EASE, Popularity
      >>> choice = choose_blend({"ease": EASE().fit, "popular": Popularity().fit}, split)
      >>> choice.fit(split.train).spec.n_items
      30
    """
    check_factories("choose_blend", factories, split)
    _check(forms)
    counts = {"steps": (steps, 1), "folds": (folds, 1), "bootstrap": (bootstrap, 2)}
    counts |= {} if users is None else {"users": (users, 2)}
    for name, (value, least) in {**counts, "seed": (seed, 0)}.items():
        check_whole("choose_blend", name, value, least)
    names, parts = [*factories], validation_parts(split, folds, seed, test=test)
    # Of a single part, Split and BlendFold say what is wrong.
    listed = [*parts] if folds == 1 else listed_parts("choose_blend", parts, folds, split)
    measured: list[BlendFold] = []
    shown = progress if folds > 1 else False
    with WorkProgress("blend:", folds, "folds", console=shown, tell_end=False) as bar:
        for part in listed:
            most = most_users(part.train, len(names), len(forms))
            most = max(1, (most if users is None else min(users, most)) // folds)
            members = trained_members("choose_blend", factories, part.train)
            measured.append(BlendFold(members, part, forms, k, most, seed))
            del members  # before those of the next fold are trained
            bar.advance(state=f"{len(measured[-1].users):,} users")
    trial = BlendTrial(measured, names)
    table = BlendTable(trial.user, bootstrap, seed)
    singles = {name: trial.score(forms[0], {name: 1.0}) for name in names}
    for name, one in singles.items():
        table.add(name, one)
    best = max(singles, key=lambda name: singles[name].mean())
    table.take(best)
    single = ChosenBlend({best: factories[best]}, {}, table.frame(), trial.users)
    form, weights = trial.selected(forms, steps, np.arange(len(trial.user)))
    if len(weights) == 1 or trial.users == 1:  # one user has no other half
        return single
    apart = trial.cross_fitted(forms, steps, seed)
    score = trial.score(form, weights)
    if not table.compare(_described(form, weights), apart, singles[best], shown=score):
        return replace(single, table=table.frame())
    cold = _cold_member(form, weights, trial, table)
    options: dict[str, Any] = {"how": form, "weights": weights, "k": k}
    options |= {"cold": cold} if cold else {}
    kept = {name: factories[name] for name in weights}
    return ChosenBlend(kept, options, table.frame(), trial.users, apart[: trial.first])


def _check(forms) -> None:
    known = ("rank", "zscore", "weighted")
    if isinstance(forms, str) or not forms or any(form not in known for form in forms):
        raise InputError(
            f"choose_blend: forms must be a list of {', '.join(known)}. Received: {forms!r}"
        )


def _cold_member(
    form: str, weights: Mapping[str, float], trial: BlendTrial, table: BlendTable
) -> str | None:
    """The member whose order the unseen items should keep; None for that of the blend."""
    plain = trial.reports(form, weights, slices=True)
    before = mean_of_cold(plain)
    if np.isnan(before):
        return None
    reports = {name: trial.reports(form, weights, cold=name, slices=True) for name in weights}
    means = {name: mean_of_cold(found) for name, found in reports.items()}
    best = max(means, key=lambda name: means[name])
    name, totals = f"unseen items in the order of {best}", (total(reports[best]), total(plain))
    return best if table.compare(name, *totals, cold=(before, means[best])) else None


def _described(form: str, weights: Mapping[str, float]) -> str:
    parts = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return f"{form} of {parts}"
