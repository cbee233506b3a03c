"""Scores from an item-item weight matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.serving.item_item_serving import ItemItemServing

_BLOCK = 512  # columns per block
_GIB = 2**30


class ItemItem(Scores):
    """Scores a candidate by the sum of its weights with the items of the user's history.

    Args:
      weights: `[n_items, n_items]` from history item to candidate; dense or sparse.
      most_gib: maximum size of exported dense weights in GiB.
    """

    def __init__(self, weights: np.ndarray | scipy.sparse.csr_array, most_gib: float = 1.0):
        if scipy.sparse.issparse(weights):
            weights = scipy.sparse.csr_array(weights, dtype=np.float32)
        else:
            weights = np.asarray(weights, np.float32)
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
            raise InputError(
                f"ItemItem: weights must be [n_items, n_items]. Received: {list(weights.shape)}"
            )
        self.weights, self.most_gib = weights, most_gib

    def strongest(self, count: int) -> ItemItem:
        """Returns a sparse copy with each candidate's `count` weights of the largest magnitude."""
        n_items = self.count
        if count >= n_items:
            return self
        parts = []
        for start in range(0, n_items, _BLOCK):
            block: Any = self.weights[:, start : start + _BLOCK]
            block = block.toarray() if scipy.sparse.issparse(block) else block
            rows = np.argpartition(-np.abs(block), count - 1, axis=0)[:count]
            values = np.take_along_axis(block, rows, 0).ravel()
            columns = np.tile(np.arange(block.shape[1]), count)
            kept = scipy.sparse.coo_array((values, (rows.ravel(), columns)), block.shape).tocsc()
            kept.eliminate_zeros()
            parts.append(kept)
        return ItemItem(scipy.sparse.hstack(parts).tocsr(), self.most_gib)

    @property
    def count(self) -> int:
        return self.weights.shape[0]

    def scorer(self, state):
        if scipy.sparse.issparse(self.weights):
            return lambda users: (histories(state.matrix, users) @ self.weights).toarray()
        return lambda users: histories(state.matrix, users) @ self.weights

    def serving(self, state, precision):
        if not scipy.sparse.issparse(self.weights) and self.weights.nbytes > self.most_gib * _GIB:
            size = self.weights.nbytes / _GIB
            raise InputError(
                f"export: the weights of {self.count:,} x {self.count:,} items are {size:.2g} GiB, "
                f"and most_gib is {self.most_gib:g}; keep only the strongest weights of each "
                "item, as EASE(top=200) does, or raise most_gib"
            )
        return ItemItemServing(self.weights, precision)

    def arrays(self):
        limit = {"most_gib": np.float64(self.most_gib)}
        if not scipy.sparse.issparse(self.weights):
            return {"weights": self.weights, **limit}
        names = ("data", "indices", "indptr")
        return {name: getattr(self.weights, name) for name in names} | limit

    @classmethod
    def of_arrays(cls, arrays):
        if "weights" in arrays:
            return cls(arrays["weights"], float(arrays["most_gib"]))
        size = len(arrays["indptr"]) - 1
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        return cls(scipy.sparse.csr_array(parts, (size, size)), float(arrays["most_gib"]))
