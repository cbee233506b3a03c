"""The shapes in which classic models keep what they were fitted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse

from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing

Scorer = Callable[[np.ndarray], np.ndarray]


class Scores(ABC):
    """Arrays, and how a user's scores come from them: in NumPy, and in the graph of an export."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of items."""

    @abstractmethod
    def scorer(self, state: State) -> Scorer:
        """A function from user rows `[B]`, -1 unknown, to scores `[B, n_items]` float32."""

    @abstractmethod
    def serving(self, precision: str) -> CatalogueServing:
        """The same in an export."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All that `of_arrays` needs."""

    @classmethod
    @abstractmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Scores:
        """The inverse of `arrays`."""


def histories(matrix: scipy.sparse.csr_matrix, users: np.ndarray):
    """Rows of a CSR matrix `[n_users, n_items]`; users of row -1 get an empty one."""
    users = np.asarray(users)
    rows = matrix[np.maximum(users, 0)]
    if (users < 0).any():
        rows = rows.multiply((users >= 0)[:, None].astype(np.float32)).tocsr()
    return rows
