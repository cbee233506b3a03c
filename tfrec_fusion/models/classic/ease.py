"""The closed-form linear item-to-item model."""

import numpy as np
from scipy.linalg import cholesky, lapack

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.classic import Baseline, Scorer, histories, text_vectors


class EASE(Baseline):
    """Embarrassingly shallow autoencoder, with text in the Gram matrix where wanted.

    With the training matrix `X` and unit text vectors `Z` (centred on the training items, then
    normalised; a missing vector is 0), `P = (X'X + text_weight Z Z' + l2 I)^-1`,
    `B_ij = -P_ij / P_jj`, `B_jj = 0`, and a user scores `x B`. Without the text term this is
    Steck 2019 (https://arxiv.org/abs/1905.03375), where cold items score 0; with it they are
    reached through similar texts. Dense `[items, items] float32` and a Cholesky inverse: for
    catalogues of up to some 20,000 items.

    Args:
      l2: ridge penalty, above 0.
      vectors: name of a vector store of the catalogue, or None for no text.
      text_weight: weight of the text term, 0 or more; needs `vectors`.

    Raises:
      InputError: a bad argument, a weight without vectors or the reverse, an unknown store.

    Example:
      >>> evaluate(EASE(vectors="text", text_weight=20.0).fit(split.train), split)  # doctest: +SKIP
    """

    def __init__(self, l2: float = 200.0, vectors: str | None = None, text_weight: float = 0.0):
        super().__init__()
        if not l2 > 0:
            raise InputError(f"EASE: l2 must be above 0. Received: {l2}")
        if text_weight < 0:
            raise InputError(f"EASE: text_weight must be 0 or more. Received: {text_weight}")
        if (text_weight > 0) != (vectors is not None):
            raise InputError(
                "EASE: vectors and a text_weight above 0 go together; pass both, or neither. "
                f"Received: vectors={vectors!r}, text_weight={text_weight}"
            )
        self.l2 = l2
        self.vectors = vectors
        self.text_weight = text_weight

    @property
    def name(self) -> str:
        return "EASE" if self.vectors is None else f"EASE + {self.vectors}"

    def _fit(self, train) -> None:
        matrix = train.matrix()
        gram = (matrix.T @ matrix).toarray()
        if self.vectors is not None:
            values, mask = text_vectors(train, self.vectors, "EASE")
            unit = values - values[np.unique(train.item[mask[train.item]])].mean(0)
            unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
            unit[~mask] = 0.0
            gram += np.float32(self.text_weight) * (unit @ unit.T)
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        inverse, _ = lapack.spotri(factor, lower=True, overwrite_c=True)
        weights = np.tril(inverse) + np.tril(inverse, -1).T
        weights /= -np.diag(weights)
        np.fill_diagonal(weights, 0.0)
        self._weights = weights

    def _scorer(self, state: State) -> Scorer:
        matrix = state.matrix
        return lambda users: histories(matrix, users) @ self._weights
