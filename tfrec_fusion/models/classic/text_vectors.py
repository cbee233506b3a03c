"""Lookup of the text vectors for classic models."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError


def text_vectors(train: Interactions, name: str, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values `[n_items, d] float32` and mask `[n_items] bool` of a vector store.

    Raises:
      InputError: the catalogue has no vectors of that name, or none for an item of `train`.
    """
    known = train.catalogue.vectors
    if name not in known:
        raise InputError(
            f"{owner}: vectors must name a vector store of the catalogue, one of {sorted(known)}; "
            f"pass Catalogue(..., vectors={{{name!r}: ...}}). Received: {name!r}"
        )
    values, mask = np.asarray(known[name].values, np.float32), np.asarray(known[name].mask, bool)
    if not mask[train.item].any():
        raise InputError(
            f"{owner}: no item of the training events has a vector in {name!r}; "
            "check the store's ids"
        )
    return values, mask
