"""Scores from item vectors."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing

_LEAST = 1e-12  # minimum length of a vector, against division by 0


class ItemVectors(Scores):
    """Scores by the dot product of an item's vector and the normalised sum of the history's.

    Args:
      vectors: `[n_items, D]`, 0 for an item without a vector.
    """

    def __init__(self, vectors: np.ndarray):
        self.vectors = np.asarray(vectors, np.float32)

    @property
    def count(self) -> int:
        return len(self.vectors)

    def scorer(self, state):
        def score(users: np.ndarray) -> np.ndarray:
            mean = histories(state.matrix, users) @ self.vectors
            mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), _LEAST)
            return mean @ self.vectors.T

        return score

    def serving(self, state, precision):
        dim = self.vectors.shape[1]

        def user_vectors(users, past, items, positions, ages):
            total = tf.math.unsorted_segment_sum(past, positions, tf.shape(users)[0])
            return total / tf.maximum(tf.norm(total, axis=1, keepdims=True), _LEAST)

        nothing = np.zeros(dim, np.float32)
        return DotProductServing(user_vectors, self.vectors, nothing, dim, precision)

    def arrays(self):
        return {"vectors": self.vectors}

    @classmethod
    def of_arrays(cls, arrays):
        return cls(arrays["vectors"])
