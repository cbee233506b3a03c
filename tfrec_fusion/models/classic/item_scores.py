"""Scores that are the same for all users."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.classic.scores import Scores
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing


class ItemScores(Scores):
    """Gives every user the same scores.

    Args:
      scores: `[n_items]`.
    """

    def __init__(self, scores: np.ndarray):
        self.scores = np.asarray(scores, np.float32)

    @property
    def count(self) -> int:
        return len(self.scores)

    def scorer(self, state):
        return _SameScores(self.scores)

    def serving(self, state, precision):
        def user_vectors(users, *_):
            return tf.ones([tf.shape(users)[0], 1])

        nothing = np.zeros(1, np.float32)
        items = self.scores[:, None]
        return DotProductServing(user_vectors, items, nothing, 1, precision, has_vectors=False)

    def mixed(self, mixing):
        return ItemScores(mixing @ self.scores)

    def arrays(self):
        return {"scores": self.scores}

    @classmethod
    def of_arrays(cls, arrays):
        return cls(arrays["scores"])


class _SameScores:
    """The scores, also as vectors of one column, which an evaluation ranks quickly."""

    def __init__(self, scores: np.ndarray):
        self._scores, self.item_vectors = scores, scores[:, None]

    def user_vectors(self, users: np.ndarray) -> np.ndarray:
        return np.ones((len(users), 1), np.float32)

    def __call__(self, users: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self._scores, (len(users), len(self._scores)))
