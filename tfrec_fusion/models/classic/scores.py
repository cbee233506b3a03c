"""Base class of the fitted scores of classic models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing

Scorer = Callable[[np.ndarray], np.ndarray]


class Scores(ABC):
    """Fitted arrays that score users, in NumPy and in the graph of an export."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of items."""

    @abstractmethod
    def scorer(self, state: State) -> Scorer:
        """Returns a function: user rows `[B]`, -1 unknown -> scores `[B, n_items]` float32."""

    @abstractmethod
    def serving(self, state: State, precision: str) -> CatalogueServing:
        """Returns the scores as of `state` as a graph to export, stored in `precision`."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays to save, from which `of_arrays` rebuilds the object."""

    def mixed(self, mixing: scipy.sparse.csr_array) -> Scores:
        """Returns scores in which item i has what the items j have, weighted by `mixing[i, j]`.

        Args:
          mixing: `[n_items, n_items]` float32, see `cold_mixing`.
        """
        raise InputError(f"cold: {type(self).__name__} cannot score cold items by their texts")

    @classmethod
    @abstractmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Scores:
        """Rebuilds the object from `arrays`."""


def histories(matrix: scipy.sparse.csr_matrix, users: np.ndarray):
    """Returns rows of a CSR matrix `[n_users, n_items]`; an empty row for user row -1."""
    users = np.asarray(users)
    rows = matrix[np.maximum(users, 0)]
    if (users < 0).any():
        rows = rows.multiply((users >= 0)[:, None].astype(np.float32)).tocsr()
    return rows
