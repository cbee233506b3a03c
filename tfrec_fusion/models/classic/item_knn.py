"""Items that the same users touched."""

import numpy as np
from scipy import sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.classic.classic import Baseline, Scorer, histories
from tfrec_fusion.retrieval.counted_ranks import top_items

_BLOCK = 512


class ItemKNN(Baseline):
    """Cosine item-to-item neighbours: a candidate's score is the sum over the user's history.

    Similarity of items i and j is `|users of both| / sqrt(|users of i| |users of j|)`; each item
    keeps its `k` nearest others (Sarwar et al. 2001). Work and memory go in blocks of items, so
    nothing of `[items, items]` is ever dense.

    Args:
      k: neighbours kept for each item.

    Raises:
      InputError: `k` below 1.

    Example:
      >>> evaluate(ItemKNN(k=100).fit(split.train), split)  # doctest: +SKIP
    """

    name = "item-kNN"

    def __init__(self, k: int = 100):
        super().__init__()
        if k < 1:
            raise InputError(f"ItemKNN: k must be at least 1 neighbour. Received: {k}")
        self.k = k

    def _fit(self, train) -> None:
        matrix = train.matrix()
        n_items = matrix.shape[1]
        norms = np.sqrt(np.maximum(np.bincount(matrix.indices, minlength=n_items), 1))
        unit = (matrix @ sparse.diags_array(1 / norms)).astype(np.float32).tocsc()
        transposed = unit.T.tocsr()
        blocks = []
        for start in range(0, n_items, _BLOCK):
            similar = (transposed[start : start + _BLOCK] @ unit).toarray()
            rows = np.arange(len(similar))
            similar[rows, rows + start] = 0.0
            similar[similar <= 0] = -np.inf
            neighbours = top_items(similar, min(self.k, n_items))
            row, place = np.nonzero(neighbours >= 0)
            item = neighbours[row, place]
            shape = (len(similar), n_items)
            blocks.append(sparse.csr_array((similar[row, item], (row, item)), shape))
        self._weights = sparse.vstack(blocks).T.tocsr()  # [neighbour, candidate]

    def _scorer(self, state: State) -> Scorer:
        matrix = state.matrix
        return lambda users: (histories(matrix, users) @ self._weights).toarray()
