"""Scores from an item-item weight matrix."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import scipy.sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.classic.trend_factor import TrendFactor
from tfrec_fusion.models.serving.history_decay import HistoryDecay
from tfrec_fusion.models.serving.item_item_serving import ItemItemServing

_BLOCK = 512  # columns per block
_GIB = 2**30


class ItemItem(Scores):
    """Scores a candidate by the sum of its weights with the items of the user's history.

    Args:
      weights: `[n_items, n_items]` from history item to candidate; dense or sparse.
      most_gib: maximum size of exported dense weights in GiB.
      decay: weights of the history's items; None for 1.
      trend: factors of the items as of a state, which multiply the scores; None for 1.
    """

    def __init__(
        self,
        weights: np.ndarray | scipy.sparse.csr_array,
        most_gib: float = 1.0,
        decay: HistoryDecay | None = None,
        trend: TrendFactor | None = None,
    ):
        if scipy.sparse.issparse(weights):
            weights = scipy.sparse.csr_array(weights, dtype=np.float32)
        else:
            weights = np.asarray(weights, np.float32)
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
            raise InputError(
                f"ItemItem: weights must be [n_items, n_items]. Received: {list(weights.shape)}"
            )
        self.weights, self.most_gib = weights, most_gib
        self.decay, self.trend = decay, trend

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
        weights = scipy.sparse.hstack(parts).tocsr()
        return ItemItem(weights, self.most_gib, self.decay, self.trend)

    @property
    def count(self) -> int:
        return self.weights.shape[0]

    def scorer(self, state):
        matrix = state.matrix if self.decay is None else self.decay.matrix(state)
        factors = None if self.trend is None else self.trend.of(state)

        def score(users: np.ndarray) -> np.ndarray:
            found = histories(matrix, users) @ self.weights
            found = found.toarray() if scipy.sparse.issparse(found) else found
            return found if factors is None else found * factors

        return score

    def serving(self, state, precision):
        if not scipy.sparse.issparse(self.weights) and self.weights.nbytes > self.most_gib * _GIB:
            size = self.weights.nbytes / _GIB
            raise InputError(
                f"export: the weights of {self.count:,} x {self.count:,} items are {size:.2g} GiB, "
                f"and most_gib is {self.most_gib:g}; keep only the strongest weights of each "
                "item, as EASE(top=200) does, or raise most_gib"
            )
        if self.decay is not None:
            self.decay.check(state)
        factors = None if self.trend is None else self.trend.of(state)
        return ItemItemServing(self.weights, precision, self.decay, factors)

    def mixed(self, mixing):
        # A cold item is no neighbour of itself.
        is_cold = mixing.diagonal() == 0
        if scipy.sparse.issparse(self.weights):
            mixed: Any = (mixing @ self.weights @ mixing.T).tocoo()
            kept = (mixed.row != mixed.col) | ~is_cold[mixed.row]
            places = (mixed.row[kept], mixed.col[kept])
            mixed = scipy.sparse.csr_array((mixed.data[kept], places), mixed.shape)
        else:
            mixed = (mixing @ self.weights) @ mixing.T
            mixed[is_cold, is_cold] = 0.0
        found = copy.copy(self)
        found.weights = mixed
        return found

    def arrays(self):
        numbers: dict[str, np.ndarray] = {"most_gib": np.array(self.most_gib)}
        if self.decay is not None:
            parts = (self.decay.half_life_days, self.decay.step_decay)
            numbers["decay"] = np.array([np.nan if part is None else part for part in parts])
        if self.trend is not None:
            numbers["trend"] = np.array([self.trend.days, self.trend.power])
        if not scipy.sparse.issparse(self.weights):
            return {"weights": self.weights, **numbers}
        names = ("data", "indices", "indptr")
        return {name: getattr(self.weights, name) for name in names} | numbers

    @classmethod
    def of_arrays(cls, arrays):
        decay = trend = None
        if "decay" in arrays:
            parts = (None if np.isnan(part) else float(part) for part in arrays["decay"])
            decay = HistoryDecay(*parts)
        if "trend" in arrays:
            trend = TrendFactor(*map(float, arrays["trend"]))
        if "weights" in arrays:
            weights = arrays["weights"]
        else:
            size = len(arrays["indptr"]) - 1
            parts = (arrays["data"], arrays["indices"], arrays["indptr"])
            weights = scipy.sparse.csr_array(parts, (size, size))
        return cls(weights, float(arrays["most_gib"]), decay, trend)
