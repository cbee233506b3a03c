"""Neighbours of items or users, found block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse

from tfrec_fusion.retrieval.counted_ranks import top_items

BLOCK = 512  # rows per block


def strongest(similarities: np.ndarray, k: int) -> scipy.sparse.csr_array:
    """Keeps the `k` largest numbers above 0 of each row of `[b, n]`; ties go to the lower column.

    Example:
      >>> strongest(np.array([[0.5, 0.0, 2.0, 1.0]], np.float32), 2).toarray().tolist()
      [[0.0, 0.0, 2.0, 1.0]]
    """
    masked = np.where(similarities > 0, similarities, -np.inf)
    best = top_items(masked, min(k, similarities.shape[1]))
    row, place = np.nonzero(best >= 0)
    column = best[row, place]
    values = similarities[row, column]
    return scipy.sparse.csr_array((values, (row, column)), similarities.shape)


def item_neighbours(
    block: Callable[[slice], np.ndarray], n_items: int, k: int
) -> scipy.sparse.csr_array:
    """Returns each item's `k` most similar other items, `[n_items, n_items]` float32.

    Args:
      block: a range of items -> their similarities to all items `[b, n_items] float32`.
      n_items: the number of items.
      k: number of neighbours to keep for each item.
    """
    blocks = []
    for start in range(0, n_items, BLOCK):
        similar = block(slice(start, start + BLOCK))
        rows = np.arange(len(similar))
        similar[rows, rows + start] = 0.0
        blocks.append(strongest(similar, k))
    return scipy.sparse.csr_array(scipy.sparse.vstack(blocks))
