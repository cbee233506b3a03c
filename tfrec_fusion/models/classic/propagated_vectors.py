"""Scores from item vectors, with each user's vector propagated from the history."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.retrieval.stored_items import StoredItems


class PropagatedVectors(Scores):
    """Scores by the dot product of an item's vector with `sum_(i in history) s_i / sqrt(n)`.

    Args:
      vectors: `[n_items, D]`, the items as candidates.
      steps: `[n_items, D]`, what an item s_i of a history of n items passes on to its user.
    """

    def __init__(self, vectors: np.ndarray, steps: np.ndarray):
        self.vectors, self.steps = np.asarray(vectors, np.float32), np.asarray(steps, np.float32)

    @property
    def count(self) -> int:
        return len(self.vectors)

    def scorer(self, state):
        def score(users: np.ndarray) -> np.ndarray:
            rows = histories(state.matrix, users)
            counts = np.maximum(np.asarray(rows.sum(1), np.float32).reshape(-1, 1), 1)
            return ((rows @ self.steps) / np.sqrt(counts)) @ self.vectors.T

        return score

    def serving(self, state, precision):
        dim = self.vectors.shape[1]
        users = _PropagatedUsers(self.steps, precision)
        return DotProductServing(users, self.vectors, np.zeros(dim, np.float32), dim, precision)

    def mixed(self, mixing):
        return PropagatedVectors(mixing @ self.vectors, mixing @ self.steps)

    def arrays(self):
        return {"vectors": self.vectors, "steps": self.steps}

    @classmethod
    def of_arrays(cls, arrays):
        return cls(arrays["vectors"], arrays["steps"])


class _PropagatedUsers(tf.Module):
    def __init__(self, steps: np.ndarray, precision: str):
        super().__init__(name="propagated")
        self.steps = StoredItems(steps, precision)

    def __call__(self, users, past, items, positions, ages):
        size = tf.shape(users)[0]
        total = tf.math.unsorted_segment_sum(self.steps.gather(items), positions, size)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(ages), positions, size)
        return total / tf.sqrt(tf.maximum(counts, 1.0))[:, None]
