"""Base of the models that are made of other models."""

from __future__ import annotations

import json
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from tfrec_fusion._compat import keras
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.files import current_folder, new_folder
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend_config import member_name
from tfrec_fusion.pipelines.blended_spec import blended_spec
from tfrec_fusion.pipelines.member_files import load_member, save_member

_MEMBERS = "members"
_FORMAT = 1  # of a saved folder


class Composition(ABC):
    """A model whose scores come from the scores of its members, which are fitted models.

    Args:
      members: name -> fitted model that ranks the catalogue, or if `rankers` names it, that scores
        given items; see `member_name`.

    Attributes:
      kind: what it is, in a word; its saved folder has a file of that name.
      networks: names of the attributes and arguments that are Keras models.
      rankers: names of the members that score given items instead of the catalogue.
      config: the options, with the members described for the model card.

    Raises:
      InputError: a member is no fitted model of the kind that it must be, or the members do not
        belong together.
    """

    kind: ClassVar[str]
    networks: ClassVar[tuple[str, ...]] = ()
    rankers: ClassVar[tuple[str, ...]] = ()
    config: Any
    ranks_catalogue = True

    def __init__(self, members: Mapping[str, Model]):
        owner = type(self).__name__
        # A model that does not rank the catalogue is made of such models alone.
        rankers = self.rankers if self.ranks_catalogue else tuple(members)
        _check_members(owner, members, rankers)
        self.members = dict(members)
        self.spec = blended_spec(self.members, owner)

    @property
    @abstractmethod
    def name(self) -> str:
        """The model's name in tables."""

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

    def vector_tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns `member.vectors` -> values and mask of the frozen vectors of all members."""
        return {
            f"{name}.{key}": table
            for name, member in self.members.items()
            for key, table in member.vector_tables().items()
        }

    def member_scorers(self, state: State) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """Returns the scorers of the members by name, after a check of the state's events."""
        self.check(state.events)
        return {name: member.scorer(state) for name, member in self.members.items()}

    def member_servings(self, state: State, precision: str) -> dict[str, Any]:
        """Returns the scoring graphs of the members by name."""
        self.check(state.events)
        return {name: member.serving(state, precision) for name, member in self.members.items()}

    def save(self, path: str | os.PathLike) -> None:
        """Saves the model and its members atomically as a folder that `load` reads.

        Raises:
          OSError: the disk is full.
        """
        with new_folder(path) as folder:
            (folder / _MEMBERS).mkdir()
            members = {
                name: save_member(member, folder / _MEMBERS, name)
                for name, member in self.members.items()
            }
            for part in self.networks:
                getattr(self, part).save(folder / f"{part}.keras")
            config = self.config.model_dump(mode="json", exclude={"members"})
            saved = {"format": _FORMAT, "config": config, "members": members}
            (folder / f"{self.kind}.json").write_text(json.dumps(saved, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Loads a model from a folder that `save` wrote.

        Raises:
          InputError: the folder holds no such model, or a member cannot be loaded.
        """
        folder = current_folder(path)
        if not (folder / f"{cls.kind}.json").is_file():
            raise InputError(f"{cls.__name__}: the path has no saved {cls.kind}. Received: {path}")
        saved = read_json(folder / f"{cls.kind}.json", cls.kind)
        if saved.get("format") != _FORMAT:
            raise InputError(
                f"{cls.__name__}: the folder is of another format, {saved.get('format')!r}, than "
                f"this version reads, {_FORMAT}; save the model again. Received: {path}"
            )
        try:
            members = {
                name: load_member(member, folder / _MEMBERS, name)
                for name, member in saved["members"].items()
            }
            networks = {
                part: keras.models.load_model(folder / f"{part}.keras", compile=False)
                for part in cls.networks
            }
            config = saved["config"]
        except InputError:
            raise
        except (KeyError, OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{cls.__name__}: the folder is damaged: {type(error).__name__}: {error}; save the "
                f"model again. Received: {path}"
            ) from None
        return cls._of(members, **networks, **config)

    @classmethod
    def _of(cls, members: Mapping[str, Model], **options) -> Self:
        """Makes a model of loaded members."""
        return cls(members, **options)


def described(members: Mapping[str, Model]) -> dict[str, dict[str, Any]]:
    """Returns name -> class and options of the members, for the model card."""
    return {
        name: {"model": type(member).__name__, "config": member.config.model_dump(mode="json")}
        for name, member in members.items()
    }


def _check_members(owner: str, members, rankers: Sequence[str]) -> None:
    if not isinstance(members, Mapping) or not members:
        raise InputError(
            f"{owner}: members must be a mapping of names to fitted models, at least one. "
            f"Received: {members if isinstance(members, Mapping) else type(members).__name__}"
        )
    for name, member in members.items():
        try:
            member_name(name)
        except ValueError as error:
            raise InputError(f"{owner}: members: {error}. Received: {name!r}") from None
        if not isinstance(member, Model) or isinstance(member, type):
            raise InputError(
                f"{owner}: members: {name!r} must be a fitted model of tfrec_fusion.models, or "
                f"implement the protocol tfrec_fusion.models.Model. Received: {member!r}"
            )
        if member.ranks_catalogue == (name in rankers):
            wanted, found = "rank the catalogue", "scores the items that a request names"
            if name in rankers:
                wanted, found = "score given items, as a Ranker does", "ranks the catalogue"
            raise InputError(
                f"{owner}: members: {name!r} must {wanted}; a {type(member).__name__} {found}"
            )
        if member.spec is None:
            raise InputError(
                f"{owner}: members: {name!r} is not fitted; call fit(split.train) first. "
                f"Received: {type(member).__name__}"
            )
