"""EASE, the closed-form linear item-to-item model."""

from __future__ import annotations

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from scipy.linalg import cholesky, lapack

from tfrec_fusion.models.classic.classic_model import ClassicModel, Options
from tfrec_fusion.models.classic.item_item import ItemItem
from tfrec_fusion.models.classic.text_vectors import text_vectors


class EASEConfig(Options):
    """Options of `EASE`.

    Attributes:
      l2: ridge penalty, above 0.
      vectors: name of a vector store of the catalogue, or None for no text.
      text_weight: weight of the text term, 0 or more; needs `vectors`.
      top: number of weights to keep per item, those of the largest magnitude; None keeps all.
      most_gib: maximum size of exported dense weights in GiB; ignored with `top`.
    """

    l2: PositiveFloat = 200.0
    vectors: str | None = None
    text_weight: float = Field(0.0, ge=0)
    top: PositiveInt | None = None
    most_gib: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _belong_together(self) -> EASEConfig:
        if (self.text_weight > 0) != (self.vectors is not None):
            raise ValueError("vectors and text_weight > 0 need each other; give both or neither")
        return self


class EASE(ClassicModel):
    """Embarrassingly shallow autoencoder (EASE), optionally with text in the Gram matrix.

    With the training matrix `X` and unit text vectors `Z` (centred on the training items, then
    normalised; a missing vector is 0), `P = (X'X + text_weight Z Z' + l2 I)^-1`,
    `B_ij = -P_ij / P_jj`, `B_jj = 0`, and a user with history x gets the scores `x B`. Without the
    text term this is Steck 2019 (https://arxiv.org/abs/1905.03375), where cold items score 0; with
    it they score through similar texts. It inverts a dense `[items, items] float32` matrix by
    Cholesky, for up to about 20,000 items. With `top` it keeps and exports only the strongest
    weights, in 8 bytes each.

    Args:
      **options: see `EASEConfig`.

    Raises:
      InputError: an invalid option, only one of `vectors` and `text_weight`, or an unknown store.

    Example:
      >>> model = EASE(vectors="text", text_weight=20.0).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = EASEConfig

    @property
    def name(self) -> str:
        return "EASE" if self.config.vectors is None else f"EASE + {self.config.vectors}"

    def fitted(self, train) -> ItemItem:
        config, matrix = self.config, train.matrix()
        gram = (matrix.T @ matrix).toarray()
        if config.vectors is not None:
            values, mask = text_vectors(train, config.vectors, "EASE")
            unit = values - values[np.unique(train.item[mask[train.item]])].mean(0)
            unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
            unit[~mask] = 0.0
            gram += np.float32(config.text_weight) * (unit @ unit.T)
        gram[np.diag_indices_from(gram)] += np.float32(config.l2)
        factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        inverse, _ = lapack.spotri(factor, lower=True, overwrite_c=True)
        weights = np.tril(inverse) + np.tril(inverse, -1).T
        weights /= -np.diag(weights)
        np.fill_diagonal(weights, 0.0)
        found = ItemItem(weights, config.most_gib)
        return found if config.top is None else found.strongest(config.top)
