"""Base class of the classic models."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from tfrec_fusion.config import read_json
from tfrec_fusion.data import Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.files import current_folder, new_folder
from tfrec_fusion.models.building import check_repeats, check_vocabularies, checked
from tfrec_fusion.models.classic.cold_mixing import cold_mixing
from tfrec_fusion.models.classic.scores import Scorer, Scores
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.registry import load

_DESCRIBED, _ARRAYS = "model.json", "arrays.npz"


class Options(BaseModel):
    """Base of a classic model's options; a subclass declares the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClassicModel(ABC):
    """A model trained without gradients: call `fit(train)`, then use it like a deep `Model`.

    A subclass implements `fitted`, which returns `ItemScores`, `ItemItem` or `ItemVectors`; these
    score both in NumPy and in an export.

    Args:
      **options: options of the class's `Config`.

    Attributes:
      Config: the class of the options.
      config: the options.
      reads_dislikes: whether `fitted` gets the events with a `label` of 0 or less too.
      spec: the spec of the training data; None before `fit`.
      scores: the result of `fitted`; None before `fit`.

    Raises:
      InputError: an unknown option or value.

    Example:
      >>> from tfrec_fusion.models.classic import ItemItem
      >>> class BoughtTogether(ClassicModel):
      ...     def fitted(self, train):
      ...         together = (train.matrix().T @ train.matrix()).toarray()
      ...         np.fill_diagonal(together, 0)
      ...         return ItemItem(together)
      >>> tff.evaluation.evaluate(BoughtTogether().fit(split.train), split).split
      'temporal'
    """

    Config: type[Options] = Options
    ranks_catalogue = True
    reads_user_ids = False
    explains = False
    reads_dislikes = False
    # Newer events extend the histories.
    refreshes = True

    def __init__(self, **options):
        self.config: Any = checked(type(self).__name__, self.Config, options)
        self.spec: DataSpec | None = None
        self.scores: Scores | None = None

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return type(self).__name__

    @abstractmethod
    def fitted(self, train: Interactions) -> Scores:
        """Computes scores from training events, `counted_events` of `fit`'s."""

    def fit(self, train: Interactions) -> ClassicModel:
        """Fits to the `counted_events` of `train`, and returns the model itself."""
        if not hasattr(train, "counted_events"):
            require_interactions(train, f"{self.name}.fit")
        scores = self.fitted(train.counted_events(impressions=self.reads_dislikes))
        if not isinstance(scores, Scores):
            raise InputError(
                f"{self.name}: fitted must return ItemItem, ItemVectors or ItemScores. "
                f"Received: {type(scores).__name__}"
            )
        cold = getattr(self.config, "cold", None)
        if cold is not None:
            mixing = cold_mixing(
                train.counted_events(), cold, self.config.cold_neighbours, self.name
            )
            scores = scores.mixed(mixing)
        self.scores = scores
        if self.scores.count != len(train.catalogue):
            raise InputError(
                f"{self.name}: fitted must return scores for each of {len(train.catalogue)} items. "
                f"Received: {self.scores.count}"
            )
        self.spec = DataSpec(
            n_users=len(train.users),
            n_items=len(train.catalogue),
            users=train.users.fingerprint,
            items=train.catalogue.vocabulary.fingerprint,
            vector_dims={},
            repeats=train.repeats,
        )
        return self

    def check(self, events: Interactions) -> None:
        """Raises InputError if `fit` was not called or the events have another catalogue."""
        spec, _ = self._check_fitted("it was used")
        check_vocabularies(spec, events, reads_user_ids=False)
        check_repeats(spec, events)

    def scorer(self, state: State) -> Scorer:
        """Returns a function: user rows `[B] int32` of `state` -> scores `[B, n_items] float32`.

        It scores the histories of `state` with the fitted model. An unknown user (-1) has no
        history.

        Raises:
          InputError: `fit` was not called, or `state` has another catalogue.
        """
        spec, scores = self._check_fitted("scorer was called")
        if len(state.catalogue) != spec.n_items:
            raise InputError(
                f"{self.name}: state must have the fitted catalogue of {spec.n_items} items. "
                f"Received: {len(state.catalogue)} items"
            )
        check_repeats(spec, state.events)
        return scores.scorer(state)

    def serving(self, state: State, precision: str = "float32") -> CatalogueServing:
        """Returns the scoring graph to export, with the fitted arrays stored in `precision`."""
        self.check(state.events)
        _, scores = self._check_fitted("it was used")
        return scores.serving(state, precision)

    def vector_tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns an empty mapping: classic models read no frozen vectors when they score."""
        return {}

    def save(self, path: str | os.PathLike) -> None:
        """Saves the model atomically as a folder that `load` reads.

        Raises:
          InputError: `fit` was not called.
          OSError: the disk is full.
        """
        spec, scores = self._check_fitted("save was called")
        arrays: Any = scores.arrays()
        described = {
            "format": 1,
            "class": _path_of(type(self)),
            "scores": _path_of(type(scores)),
            "config": self.config.model_dump(mode="json"),
            "spec": spec.model_dump(mode="json"),
        }
        with new_folder(path) as folder:
            (folder / _DESCRIBED).write_text(json.dumps(described, indent=2), encoding="utf-8")
            np.savez(folder / _ARRAYS, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> ClassicModel:
        """Loads a model of this class or a subclass from a folder that `save` wrote.

        Raises:
          InputError: the folder holds no saved model, a model of another class, or one whose class
            cannot be imported.
        """
        folder = current_folder(path)
        if not (folder / _DESCRIBED).is_file():
            raise InputError(f"{cls.__name__}: the path has no saved model. Received: {path}")
        described = read_json(folder / _DESCRIBED, "model")
        made, scores = (_imported(described[key]) for key in ("class", "scores"))
        if not issubclass(made, cls):
            raise InputError(
                f"{cls.__name__}: {path} holds a model of another class; load it with that class. "
                f"Received: {described['class']}"
            )
        model = made(**described["config"])
        model.spec = DataSpec.model_validate(described["spec"])
        with np.load(Path(folder) / _ARRAYS, allow_pickle=False) as arrays:
            model.scores = scores.of_arrays(dict(arrays))
        return model

    def _check_fitted(self, what: str) -> tuple[DataSpec, Scores]:
        if self.spec is None or self.scores is None:
            raise InputError(f"{self.name}: {what} before fit; call fit(split.train) first")
        return self.spec, self.scores


def _path_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _imported(path: str) -> type:
    try:
        return load(path)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"model: {path!r} cannot be imported: {error}; the module must be installed or in the "
            "working directory"
        ) from None
