"""The interface that evaluation and export expect of a model, deep or classic."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel

from tfrec_fusion.data import Interactions
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.row_serving import RowServing


@runtime_checkable
class Model(Protocol):
    """A trained model that can be scored, evaluated, saved and exported.

    Attributes:
      config: the model's options.
      spec: the sizes, vocabularies and features of its training data.
      ranks_catalogue: True if it ranks all items for a user; `serving` then returns a
        `CatalogueServing`. False if it scores given items in a context; `serving` then returns a
        `RowServing`.
      reads_user_ids: whether it reads user ids, so that users outside training are unknown to it.
      explains: whether its scores can be split into the contributions of its inputs; `serving` then
        takes `explain=True`.
      refreshes: whether newer events change its scores without retraining.
    """

    config: BaseModel
    spec: DataSpec
    ranks_catalogue: bool
    reads_user_ids: bool
    explains: bool
    refreshes: bool

    def check(self, events: Interactions) -> None:
        """Raises InputError if the model cannot score these events, e.g. of another catalogue."""

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        """A function from user rows `[B]` int32, -1 unknown, to scores `[B, n_items]` float32."""
        ...

    def serving(self, state: State, precision: str = "float32") -> CatalogueServing | RowServing:
        """Returns the scoring graph to export: the state stored in it, tables in `precision`."""
        ...

    def vector_tables(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> values `[n_items, d]` and mask `[n_items]` of the frozen vectors it reads."""
        ...

    def save(self, path: str | os.PathLike) -> None:
        """Saves the model; Keras models in Keras's format, classic ones as a folder for `load`."""
