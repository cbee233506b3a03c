"""The result of spectral fusion: a vector and a weight for each item."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class SpectralVectors:
    """Item vectors, shared by both towers, and the weight of each item in a history.

    Attributes:
        vectors: ``[n_items, dim]`` float32, v.
        weights: ``[n_items]`` float32, weight of each item in a user's history.
    """

    vectors: np.ndarray
    weights: np.ndarray

    def user_vectors(
        self,
        histories: sparse.csr_matrix,
        disliked: sparse.csr_matrix | None = None,
        penalty: float = 0.0,
    ) -> np.ndarray:
        """Normalised sum of weight_j v_j over each user's items.

        Args:
            histories: sparse ``[users, n_items]``, 1 where the user has the item.
            disliked: sparse ``[users, n_items]``, 1 where the user dislikes the item.
            penalty: weight with which the disliked items are subtracted.

        Returns:
            ``[users, dim]`` float32 of length 1; zero for an empty history. The score of an item
            is its dot product with the user's vector.
        """
        weighted = self.weights[:, None] * self.vectors
        sums = histories.astype(np.float32) @ weighted
        if disliked is not None:
            sums -= penalty * (disliked.astype(np.float32) @ weighted)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.divide(sums, length, out=np.zeros_like(sums), where=length > 0)
