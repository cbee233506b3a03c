"""Several models as one: a weighted sum of their ranks or scores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrec_fusion.config import read_json
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.files import current_folder, new_folder
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend_config import BlendConfig, member_name
from tfrec_fusion.pipelines.blend_scorer import BlendScorer
from tfrec_fusion.pipelines.blend_serving import BlendServing
from tfrec_fusion.pipelines.blended_spec import blended_spec
from tfrec_fusion.pipelines.member_files import load_member, save_member

_DESCRIBED, _MEMBERS = "blend.json", "members"


class Blend:
    """A model whose score is the weighted sum of what its members say of an item.

    With w the weights, the score of an item for a user is

    - "rank": `sum w / (k + rank)`, the reciprocal rank fusion of Cormack et al. (SIGIR 2009); the
      best item has rank 1, and tied items share the mean of their ranks;
    - "zscore": `sum w (score - mean) / std` over the items; a member that scores all the same adds
      0;
    - "weighted": `sum w score`, for members whose scores have one unit.

    Ranks, means and standard deviations are those among the user's candidates: the catalogue less
    the history, or all items if repeated events count. Filters, rules and exclusions apply to the
    blended scores and change no rank. Differences within the rounding of float32 are ties.

    Members of fitted interactions know nothing of an item without an event, and pull it down. With
    `cold`, such items keep the blended scores of all of them, dealt out in the order of one member,
    e.g. one that reads texts: among themselves they have its order, and the other items stay.

    A blend is a model: it is evaluated, saved, exported and served as its members are.

    Args:
      members: name -> fitted model that ranks the catalogue, deep or classic. Names are letters,
        digits and "_".
      weights: name -> weight of 0 or more; by default 1 each.
      how, k, cold, new_users: see `BlendConfig`. `new_users` is a `NewUsers` or a dict of its
        fields: members that need a history may be left out for users who have none.

    Raises:
      InputError: a member is no fitted model that ranks the catalogue, members do not belong
        together, or an option is invalid.

    Example:
      >>> from tfrec_fusion.models.classic import EASE, RecentPopularity
      >>> members = {"ease": EASE().fit(split.train), "recent": RecentPopularity().fit(split.train)}
      >>> blend = Blend(members, weights={"ease": 1.0, "recent": 0.5})
      >>> tff.evaluation.evaluate(blend, split).name
      'blend of ease, recent'
    """

    ranks_catalogue = True
    explains = True

    def __init__(
        self,
        members: Mapping[str, Model],
        *,
        weights: Mapping[str, float] | None = None,
        how: str = "rank",
        k: float = 10.0,
        cold: str | None = None,
        new_users: Mapping[str, Any] | None = None,
    ):
        _check_members(members)
        self.members = dict(members)
        options = {"how": how, "k": k, "cold": cold, "new_users": new_users}
        described = {
            name: {
                "model": type(member).__name__,
                "config": member.config.model_dump(mode="json"),
            }
            for name, member in members.items()
        }
        given = dict.fromkeys(members, 1.0) if weights is None else weights
        self.config = checked(
            "Blend", BlendConfig, options | {"weights": given, "members": described}
        )
        self.spec = blended_spec(self.members)

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return f"blend of {', '.join(self.members)}"

    @property
    def reads_user_ids(self) -> bool:
        """Whether a member reads user ids."""
        return any(member.reads_user_ids for member in self.members.values())

    @property
    def refreshes(self) -> bool:
        """Whether newer events change the scores of a member without retraining."""
        return any(member.refreshes for member in self.members.values())

    def check(self, events: Interactions) -> None:
        """Raises InputError if a member cannot score these events."""
        for member in self.members.values():
            member.check(events)

    def scorer(self, state: State) -> BlendScorer:
        """Returns a function: user rows `[B]`, -1 unknown -> scores `[B, n_items]` float32."""
        self.check(state.events)
        scorers: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            name: member.scorer(state) for name, member in self.members.items()
        }
        return BlendScorer(self.config, scorers, state)

    def explainer(self, state: State) -> BlendScorer:
        """Returns what splits the scores of a state into shares, for `evaluation.explain`."""
        return self.scorer(state)

    def serving(
        self, state: State, precision: str = "float32", explain: bool = False
    ) -> BlendServing:
        """Returns the scoring graph to export, with the members' tables stored in `precision`."""
        self.check(state.events)
        members: dict[str, Any] = {
            name: member.serving(state, precision) for name, member in self.members.items()
        }
        cold = np.flatnonzero(~state.seen).astype(np.int32)
        return BlendServing(self.config, members, cold, self.spec.repeats == "first", explain)

    def vector_tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns `member.vectors` -> values and mask of the frozen vectors of all members."""
        return {
            f"{name}.{key}": table
            for name, member in self.members.items()
            for key, table in member.vector_tables().items()
        }

    def save(self, path: str | os.PathLike) -> None:
        """Saves the blend and its members atomically as a folder that `load` reads.

        Raises:
          OSError: the disk is full.
        """
        with new_folder(path) as folder:
            (folder / _MEMBERS).mkdir()
            described = {
                "format": 1,
                "config": self.config.model_dump(mode="json", exclude={"members"}),
                "members": {
                    name: save_member(member, folder / _MEMBERS, name)
                    for name, member in self.members.items()
                },
            }
            (folder / _DESCRIBED).write_text(json.dumps(described, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Blend:
        """Loads a blend from a folder that `save` wrote.

        Raises:
          InputError: the folder holds no blend, or a member cannot be loaded.
        """
        folder = current_folder(path)
        if not (folder / _DESCRIBED).is_file():
            raise InputError(f"Blend: the path has no saved blend. Received: {path}")
        described = read_json(folder / _DESCRIBED, "blend")
        members = {
            name: load_member(member, folder / _MEMBERS, name)
            for name, member in described["members"].items()
        }
        return cls(members, **described["config"])


def _check_members(members) -> None:
    if not isinstance(members, Mapping) or not members:
        raise InputError(
            "Blend: members must be a mapping of names to fitted models, at least one. "
            f"Received: {members if isinstance(members, Mapping) else type(members).__name__}"
        )
    for name, member in members.items():
        try:
            member_name(name)
        except ValueError as error:
            raise InputError(f"Blend: members: {error}. Received: {name!r}") from None
        if not isinstance(member, Model) or isinstance(member, type):
            raise InputError(
                f"Blend: members: {name!r} must be a fitted model of tfrec_fusion.models, or "
                f"implement the protocol tfrec_fusion.models.Model. Received: {member!r}"
            )
        if not member.ranks_catalogue:
            raise InputError(
                f"Blend: members: {name!r} must rank the catalogue; a {type(member).__name__} "
                "scores the items that a request names"
            )
        if member.spec is None:
            raise InputError(
                f"Blend: members: {name!r} is not fitted; call fit(split.train) first. "
                f"Received: {type(member).__name__}"
            )
