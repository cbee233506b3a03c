"""Whitening: equalises the variance of text vectors over their directions."""

import numpy as np

from tfrec_fusion.embeddings.projection import Projection
from tfrec_fusion.errors import InputError


class Whitening(Projection):
    """PCA whitening in the leading directions, z = (x - mu) U (L + epsilon * mean(L))^(-1/2).

    U and L are eigenvectors and eigenvalues (descending) of the covariance of the rows it is fitted
    on. Raw text vectors share a strong common direction; after whitening, dot products separate
    items. Directions without variance become zero columns, so the width is always the same. Fit it
    on training items only.

    Source: WhitenRec (Zhang et al., ICDE 2024). Epsilon is relative to the mean eigenvalue, so it
    does not depend on the scale of x: near 0 is full whitening, 1 or more keeps weak directions
    weak (relaxed whitening).

    Attributes:
        mean: ``[d]`` float64, after `fit`.
        projection: ``[d, k]`` float64, after `fit`.

    Example:
        >>> import numpy as np
        >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> round(float(Whitening(epsilon=0).fit(x).transform(x)[0, 0]), 3)
        1.414
    """

    kind = "whitening"

    def __init__(self, dim: int | None = None, epsilon: float = 1e-6, unit: bool = False):
        """
        Args:
            dim: number of leading directions to keep; None for all.
            epsilon: relaxation, as a multiple of the mean eigenvalue; 0 or more.
            unit: whether to scale each transformed row to length 1.
        """
        super().__init__(dim, unit)
        if not (np.isfinite(epsilon) and epsilon >= 0):
            raise InputError(f"epsilon: must be a number from 0 up. Received: {epsilon!r}")
        self.epsilon = float(epsilon)

    def _scale(self, values: np.ndarray) -> np.ndarray:
        # Directions of eigenvalue 0 become zero columns anyway.
        relaxed = values + self.epsilon * values.mean()
        return np.where(relaxed > 0, relaxed, 1.0) ** -0.5

    def get_config(self) -> dict:
        return {**super().get_config(), "epsilon": self.epsilon}
