"""Weights of history items that fall with age and with position."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.later_items import later_items


class HistoryDecay:
    """Weights history items by `2^(-days / half_life_days) * step_decay^later`.

    `days` is how much older an item is than the user's latest one, so that a user who was away has
    the same weights as before; `later` is the number of later items of the user.

    Args:
      half_life_days: days in which a weight halves; None for no decay by age.
      step_decay: factor for each later item, in (0, 1]; None for no decay by position.

    Example:
      >>> history = History(np.array([0, 3]), np.array([5, 6, 7]), np.array([20.0, 10.0, 0.0]))
      >>> HistoryDecay(half_life_days=10).weights(history).tolist()
      [0.25, 0.5, 1.0]
    """

    def __init__(self, half_life_days: float | None = None, step_decay: float | None = None):
        self.half_life_days, self.step_decay = half_life_days, step_decay

    def weights(self, histories: History) -> np.ndarray:
        """Returns the weights `[H]` float32 of histories with ages in days in place of times."""
        weights = np.ones(len(histories.items), np.float32)
        if self.step_decay is not None:
            weights *= np.float32(self.step_decay) ** histories.steps.astype(np.float32)
        if self.half_life_days is not None and histories.times is not None:
            days = histories.times - histories.times[np.arange(len(weights)) + histories.steps]
            weights *= np.exp(self._rate * days.astype(np.float32))
        return weights

    def check(self, state: State) -> None:
        """Raises InputError if the events lack the times or the order of the decay."""
        ordered = state.time is not None or state.has_steps
        if (self.half_life_days is not None and state.time is None) or not ordered:
            needs = "'timestamp' or 'position'" if self.half_life_days is None else "'timestamp'"
            raise InputError(
                f"interactions: the model's decay of histories needs a column {needs}. Received: "
                f"{'positions' if ordered else 'no times'}"
            )

    def matrix(self, state: State) -> scipy.sparse.csr_matrix:
        """Returns `[n_users, n_items]` float32, the summed weights of each user's items."""
        self.check(state)
        histories = state.aged_histories()
        shape = (len(state.events.users), len(state.catalogue))
        parts = (self.weights(histories), histories.items, histories.splits)
        # A copy: summing sorts the indices in place.
        matrix = scipy.sparse.csr_matrix(parts, shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    def __call__(self, positions, ages, batch) -> tf.Tensor:
        """Returns the weights `[P]` float32 in a graph.

        Args:
          positions: `[P]` int32 ascending: the position in the batch of each item's user; the
            latest item of a user is the last.
          ages: `[P]` float32 days.
          batch: int scalar, the number of users.
        """
        later, weights = later_items(positions, batch), tf.ones_like(ages)
        if self.step_decay is not None:
            weights *= tf.pow(np.float32(self.step_decay), tf.cast(later, tf.float32))
        if self.half_life_days is not None:
            days = ages - tf.gather(ages, tf.range(tf.size(later)) + later)
            weights *= tf.exp(self._rate * days)
        return weights

    @property
    def _rate(self) -> np.float32:
        assert self.half_life_days is not None
        return np.float32(-math.log(2) / self.half_life_days)
