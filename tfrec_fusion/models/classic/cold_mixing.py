"""Cold items as the means of warm items with similar texts."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.models.classic.neighbours import BLOCK, strongest
from tfrec_fusion.models.classic.text_vectors import text_vectors

_DIMS = 128  # of the whitened vectors


def cold_mixing(
    train: Interactions, vectors: str, count: int, owner: str
) -> scipy.sparse.csr_array:
    """Returns a matrix M: what a model learned of items V becomes `M V`.

    The row of a warm item holds a 1 for itself. The row of a cold item holds the cosines, divided
    by their sum, of its `count` nearest warm items with a cosine above 0, by whitened vectors
    (fitted on the warm items); without a vector or such an item it is empty.

    Args:
      train: the training events.
      vectors: name of a vector store of the catalogue.
      count: number of warm items.
      owner: name of the model in errors.

    Returns:
      `[n_items, n_items]` float32.

    Raises:
      InputError: the catalogue has no such store, or it has no vector of a warm item.
    """
    values, mask = text_vectors(train, vectors, owner)
    n_items = len(mask)
    is_warm = np.bincount(train.item, minlength=n_items) > 0
    warm, cold = np.flatnonzero(is_warm & mask), np.flatnonzero(~is_warm & mask)
    whitening = Whitening(dim=min(_DIMS, values.shape[1]), unit=True).fit(values, rows=warm)
    unit = whitening.transform(values, mask).astype(np.float32)
    rows, columns, weights = [np.flatnonzero(is_warm)], [np.flatnonzero(is_warm)], []
    weights.append(np.ones(is_warm.sum(), np.float32))
    for start in range(0, len(cold), BLOCK):
        part = cold[start : start + BLOCK]
        near = strongest(unit[part] @ unit[warm].T, count).tocoo()
        sums = np.bincount(near.row, near.data, len(part))
        rows.append(part[near.row])
        columns.append(warm[near.col])
        weights.append((near.data / sums[near.row]).astype(np.float32))
    places = (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.csr_array((np.concatenate(weights), places), (n_items, n_items))
