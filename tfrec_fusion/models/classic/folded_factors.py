"""Scores from item factors, with each user's factors solved from the history."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.models.classic.least_squares import solved_rows
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.least_squares_users import LeastSquaresUsers


class FoldedFactors(Scores):
    """Scores by the dot product of an item's vector and the user vector that fits the history.

    The user vector minimises `sum_(i in history) (x v_i - 1)^2 + w sum_i (x v_i)^2 + ridge |x|^2`
    over the items that the vectors were trained on, where w is the weight of all pairs and
    `ridge = l2 (items of the history + w n_items)^exponent`.

    Args:
      vectors: `[n_items, D]`.
      gram: `[D, D]`, `w V'V` of the trained vectors V.
      l2, exponent: numbers of the ridge, see above.
      unobserved: `w n_items`.
    """

    def __init__(
        self, vectors: np.ndarray, gram: np.ndarray, l2: float, unobserved: float, exponent: float
    ):
        self.vectors, self.gram = np.asarray(vectors, np.float32), np.asarray(gram, np.float32)
        self.l2, self.unobserved, self.exponent = float(l2), float(unobserved), float(exponent)

    @property
    def count(self) -> int:
        return len(self.vectors)

    def scorer(self, state):
        def score(users: np.ndarray) -> np.ndarray:
            return self.folded(histories(state.matrix, users)) @ self.vectors.T

        return score

    def folded(self, matrix) -> np.ndarray:
        """Returns the user vectors `[B, D]` float32 of histories `[B, n_items]` CSR."""
        counts = np.asarray(matrix.sum(1), np.float64).ravel()
        ridge = self.l2 * (counts + self.unobserved) ** self.exponent
        return solved_rows(matrix, self.vectors, self.gram.astype(np.float64), ridge)

    def serving(self, state, precision):
        dim = self.vectors.shape[1]
        users = LeastSquaresUsers(self.gram, self.l2, self.unobserved, self.exponent)
        return DotProductServing(users, self.vectors, np.zeros(dim, np.float32), dim, precision)

    def mixed(self, mixing):
        vectors = mixing @ self.vectors
        return FoldedFactors(vectors, self.gram, self.l2, self.unobserved, self.exponent)

    def arrays(self):
        numbers = np.array([self.l2, self.unobserved, self.exponent])
        return {"vectors": self.vectors, "gram": self.gram, "numbers": numbers}

    @classmethod
    def of_arrays(cls, arrays):
        return cls(arrays["vectors"], arrays["gram"], *arrays["numbers"])
