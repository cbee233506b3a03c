"""Unit text vectors for the Gram matrix of linear models."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.models.classic.text_vectors import text_vectors


def unit_text(train: Interactions, name: str, dims: int | None, owner: str) -> np.ndarray:
    """Returns text vectors `[n_items, d]` float32 of length 1, 0 where one is missing.

    They are centred on the training items, and whitened there to `dims` dimensions unless it is
    None.

    Raises:
      InputError: as `text_vectors`, or the store has fewer dimensions than `dims`.
    """
    values, mask = text_vectors(train, name, owner)
    warm = np.unique(train.item[mask[train.item]])
    if dims is not None:
        return Whitening(dim=dims, unit=True).fit(values, rows=warm).transform(values, mask)
    unit = values - values[warm].mean(0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    unit[~mask] = 0.0
    return unit
