"""What every baseline shares: fit once, then score users of the same catalogue."""

from collections.abc import Callable

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State

Scorer = Callable[[np.ndarray], np.ndarray]


class Baseline:
    """A model without gradient training: `fit(train)`, then `scorer(state)`.

    Subclasses implement `_fit(train)` and `_scorer(state)`.
    """

    name: str

    def __init__(self) -> None:
        self._n_items: int | None = None

    def fit(self, train) -> "Baseline":
        """Fit to the first events of the training interactions and return the baseline itself."""
        self._fit(train.first_events())
        self._n_items = len(train.catalogue)
        return self

    def scorer(self, state: State) -> Scorer:
        """A function from user rows `[B] int32` of `state` to scores `[B, n_items] float32`.

        The users' histories are those of `state`; what was fitted stays. An unknown user (-1) has
        no history.

        Raises:
          InputError: `fit` was not called, or `state` has another catalogue.
        """
        if self._n_items is None:
            raise InputError(
                f"{self.name}: scorer was called before fit; call fit(split.train) first"
            )
        if len(state.catalogue) != self._n_items:
            raise InputError(
                f"{self.name}: state must have the fitted catalogue of {self._n_items} items. "
                f"Received: {len(state.catalogue)} items"
            )
        return self._scorer(state)

    def _fit(self, train) -> None:
        raise NotImplementedError

    def _scorer(self, state: State) -> Scorer:
        raise NotImplementedError


def histories(matrix, users: np.ndarray):
    """Rows of a CSR matrix `[n_users, n_items]`; users of row -1 get an empty one."""
    users = np.asarray(users)
    rows = matrix[np.maximum(users, 0)]
    if (users < 0).any():
        rows = rows.multiply((users >= 0)[:, None].astype(np.float32)).tocsr()
    return rows


def constant_scorer(scores: np.ndarray) -> Scorer:
    """The same `[n_items] float32` scores for every user."""
    return lambda users: np.broadcast_to(scores, (len(users), len(scores)))


def text_vectors(train, name: str, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """A vector store of the catalogue: `[n_items, d] float32` values and a `[n_items] bool` mask.

    Raises:
      InputError: the catalogue has no vectors of that name, or none for an item of `train`.
    """
    known = train.catalogue.vectors
    if name not in known:
        raise InputError(
            f"{owner}: vectors must name a vector store of the catalogue, one of {sorted(known)}; "
            f"pass Catalogue(..., vectors={{{name!r}: ...}}). Received: {name!r}"
        )
    values, mask = np.asarray(known[name].values, np.float32), np.asarray(known[name].mask, bool)
    if not mask[train.item].any():
        raise InputError(
            f"{owner}: no item of the training events has a vector in {name!r}; "
            "check the store's ids"
        )
    return values, mask
