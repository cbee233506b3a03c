"""EASE, the closed-form linear item-to-item model."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PositiveInt
from scipy.linalg import cholesky, lapack

from tfrec_fusion.errors import InputError
from tfrec_fusion.models.classic.item_item import ItemItem
from tfrec_fusion.models.classic.linear_model import LinearModel
from tfrec_fusion.models.classic.linear_options import LinearOptions

_BLOCK = 1024  # rows of the matrix at a time
_GIB = 2**30


class EASEConfig(LinearOptions):
    """Options of `EASE`, in addition to `LinearOptions`.

    Attributes:
      top: number of weights to keep per item, those of the largest magnitude; None keeps all.
      most_gib: maximum size of exported dense weights in GiB; ignored with `top`.
      fit_gib: maximum memory of the fit in GiB; it needs 8 bytes for each pair of items.
    """

    top: PositiveInt | None = None
    most_gib: PositiveFloat = 1.0
    fit_gib: PositiveFloat = 4.0


class EASE(LinearModel):
    """Embarrassingly shallow autoencoder (EASE), optionally with text in the Gram matrix.

    With the training matrix `X` and unit text vectors `Z` (see `unit_text`; a missing vector is 0),
    `P = (X'X + text_weight Z Z' + l2 I)^-1`, `B_ij = -P_ij / P_jj`, `B_jj = 0`, and a user with
    history x gets the scores `x B`. Without the text term this is Steck 2019
    (https://arxiv.org/abs/1905.03375), where cold items score 0; with it they score through similar
    texts. `LinearModel` says what decays, transitions and trends add.

    It inverts a dense `[items, items] float32` matrix by Cholesky; beyond `fit_gib` (23,170 items)
    it raises an error, and `SparseEASE` takes its place. With `top` it keeps and exports only the
    strongest weights, in 8 bytes each.

    Args:
      **options: see `EASEConfig`.

    Raises:
      InputError: an invalid option, only one of `vectors` and `text_weight`, an unknown store,
        times or an order that an option needs are missing, or too many items.

    Example:
      >>> model = EASE(vectors="text", text_weight=20.0, trend_power=0.8).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = EASEConfig

    def fitted(self, train) -> ItemItem:
        size, limit = len(train.catalogue), self.config.fit_gib
        needed = 8 * size**2 / _GIB
        if needed > limit:
            raise InputError(
                f"EASE: fit: {size:,} items need {needed:.1f} GiB, and fit_gib is {limit:g}; use "
                "SparseEASE (--model sparse_ease), whose memory grows with the events, or raise "
                "fit_gib"
            )
        found = super().fitted(train)
        return found if self.config.top is None else found.strongest(self.config.top)

    def solved(self, matrix, text) -> np.ndarray:
        config = self.config
        gram = (matrix.T @ matrix).toarray()
        if text is not None:
            for start in range(0, len(gram), _BLOCK):
                part = slice(start, start + _BLOCK)
                gram[part] += np.float32(config.text_weight) * (text[part] @ text.T)
        gram[np.diag_indices_from(gram)] += np.float32(config.l2)
        weights = _inverted(gram)
        diagonal = -np.diag(weights)
        for start in range(0, len(weights), _BLOCK):
            weights[start : start + _BLOCK] /= diagonal
        np.fill_diagonal(weights, 0.0)
        return weights


def _inverted(gram: np.ndarray) -> np.ndarray:
    """Returns the inverse of a symmetric positive definite matrix, in the memory of `gram`."""
    # The transposed view has the order of LAPACK, which then makes no copy.
    factor = cholesky(gram.T, lower=True, overwrite_a=True, check_finite=False)
    inverse = lapack.spotri(factor, lower=True, overwrite_c=True)[0].T
    for start in range(0, len(inverse), _BLOCK):
        stop = start + _BLOCK
        inverse[stop:, start:stop] = inverse[start:stop, stop:].T
        square = np.triu(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = square + np.triu(square, 1).T
    return inverse
