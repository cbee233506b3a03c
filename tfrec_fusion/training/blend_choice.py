"""Chooses the members, weights and form of a blend on a validation period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend import Blend
from tfrec_fusion.training.blend_table import BlendTable
from tfrec_fusion.training.blend_trial import BlendTrial
from tfrec_fusion.training.held_out_parts import validation_part
from tfrec_fusion.training.member_factories import (
    Factory,
    check_factories,
    check_whole,
    trained_members,
)

_FORMS = ("rank", "zscore")
_METRIC = "ndcg@10"


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
    trial = BlendTrial(members, part, forms, k, seed)
    table = BlendTable(bootstrap, seed)
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
        cold = _cold_member({name: members[name] for name in chosen}, options, trial, table)
        options |= {"cold": cold} if cold else {}
    kept = {name: factories[name] for name in chosen}
    return ChosenBlend(kept, options, table.frame(), trial.users, apart if options else None)


def _check(forms) -> None:
    known = ("rank", "zscore", "weighted")
    if isinstance(forms, str) or not forms or any(form not in known for form in forms):
        raise InputError(
            f"choose_blend: forms must be a list of {', '.join(known)}. Received: {forms!r}"
        )


def _cold_member(
    members: dict[str, Model], options, trial: BlendTrial, table: BlendTable
) -> str | None:
    """The member whose order the unseen items should keep; None for that of the blend."""
    plain = trial.report(Blend(members, **options), slices=True)
    if not plain.counts["cold"]["users"]:
        return None
    reports = {
        name: trial.report(Blend(members, **options, cold=name), slices=True) for name in members
    }
    best = max(reports, key=lambda name: reports[name].metrics["cold"][_METRIC])
    before, after = (one.metrics["cold"][_METRIC] for one in (plain, reports[best]))
    name = f"unseen items in the order of {best}"
    totals = [one.per_user[_METRIC] for one in (reports[best], plain)]
    taken = table.compare(name, *totals, cold=(before, after))
    return best if taken else None


def _described(form: str, weights: Mapping[str, float]) -> str:
    parts = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return f"{form} of {parts}"
