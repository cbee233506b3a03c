"""Item-based k-nearest neighbours."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt
from scipy import sparse

from tfrec_fusion.models.classic.classic_model import ClassicModel, Options
from tfrec_fusion.models.classic.item_item import ItemItem
from tfrec_fusion.retrieval.counted_ranks import top_items

_BLOCK = 512


class ItemKNNConfig(Options):
    """Options of `ItemKNN`.

    Attributes:
      k: number of neighbours to keep for each item.
    """

    k: PositiveInt = 100


class ItemKNN(ClassicModel):
    """Item-based kNN: scores a candidate by its summed cosine similarity to the user's history.

    The similarity of items i and j is `|users of both| / sqrt(|users of i| |users of j|)`; each
    item keeps its `k` nearest other items (Sarwar et al. 2001). It works in blocks of items, so no
    dense `[items, items]` matrix is ever in memory.

    Args:
      **options: see `ItemKNNConfig`.

    Raises:
      InputError: an invalid option.

    Example:
      >>> model = ItemKNN(k=100).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = ItemKNNConfig

    @property
    def name(self) -> str:
        return "item-kNN"

    def fitted(self, train) -> ItemItem:
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
            neighbours = top_items(similar, min(self.config.k, n_items))
            row, place = np.nonzero(neighbours >= 0)
            item = neighbours[row, place]
            shape = (len(similar), n_items)
            blocks.append(sparse.csr_array((similar[row, item], (row, item)), shape))
        return ItemItem(sparse.vstack(blocks).T.tocsr())  # [neighbour, candidate]
