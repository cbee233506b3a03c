"""Scores from item vectors."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.serving.weighted_history_serving import WeightedHistoryServing

_LEAST = 1e-12  # minimum length of a vector, against division by 0


class ItemVectors(Scores):
    """Scores by the dot product of an item's vector and the normalised sum of the history's.

    Args:
      vectors: `[n_items, D]`, 0 for an item without a vector.
      weights: `[n_items]`, weight of each item in a history; None weighs all alike.
      penalty: weight with which the items that the user dislikes are subtracted; see
        `State.disliked`.
    """

    def __init__(
        self, vectors: np.ndarray, weights: np.ndarray | None = None, penalty: float = 0.0
    ):
        self.vectors = np.asarray(vectors, np.float32)
        ones = np.ones(len(self.vectors), np.float32)
        self.weights = ones if weights is None else np.asarray(weights, np.float32)
        self.penalty = float(penalty)

    @property
    def count(self) -> int:
        return len(self.vectors)

    def scorer(self, state):
        weighted = self.weights[:, None] * self.vectors
        disliked = self._disliked(state)

        def score(users: np.ndarray) -> np.ndarray:
            mean = histories(state.matrix, users) @ weighted
            if disliked is not None:
                mean -= self.penalty * (histories(disliked, users) @ weighted)
            mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), _LEAST)
            return mean @ self.vectors.T

        return score

    def serving(self, state, precision):
        return WeightedHistoryServing(
            self.vectors, self.weights, self._disliked(state), self.penalty, precision
        )

    def _disliked(self, state: State) -> scipy.sparse.csr_matrix | None:
        return state.disliked if self.penalty else None

    def mixed(self, mixing):
        return ItemVectors(mixing @ self.vectors)

    def arrays(self):
        return {
            "vectors": self.vectors,
            "weights": self.weights,
            "penalty": np.float64(self.penalty),
        }

    @classmethod
    def of_arrays(cls, arrays):
        return cls(arrays["vectors"], arrays["weights"], float(arrays["penalty"]))
