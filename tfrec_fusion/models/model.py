"""What every part of the package asks of a model, deep or classic."""

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
    """A trained model: what it was made for, its scores, and what an export serves of it.

    Attributes:
      config: its options.
      spec: of the data that it was made for.
      ranks_catalogue: True where it ranks all items for a user, so that `serving` gives a
        `CatalogueServing`; False where it scores the items that it is given, in a context, and
        gives a `RowServing`.
      reads_user_ids: whether users other than those of training are unknown to it.
      explains: whether its scores can be split into shares of its inputs; `serving` then takes
        `explain=True`.
      refreshes: whether newer events change its scores without training.
    """

    config: BaseModel
    spec: DataSpec
    ranks_catalogue: bool
    reads_user_ids: bool
    explains: bool
    refreshes: bool

    def check(self, events: Interactions) -> None:
        """Raises InputError where the events are not ones for the model."""

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        """A function from user rows `[B]` int32, -1 unknown, to scores `[B, n_items]` float32."""
        ...

    def serving(self, state: State, precision: str = "float32") -> CatalogueServing | RowServing:
        """The graph of its scores as of a state, with tables in a precision."""
        ...

    def vector_tables(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> values `[n_items, d]` and mask `[n_items]` of the frozen vectors it reads."""
        ...

    def save(self, path: str | os.PathLike) -> None:
        """Writes it; Keras models as Keras does, the others as a folder that `load` reads."""
