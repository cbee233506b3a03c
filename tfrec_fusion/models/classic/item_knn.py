"""Item-based k-nearest neighbours."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.cold_options import ColdOptions
from tfrec_fusion.models.classic.item_item import ItemItem
from tfrec_fusion.models.classic.neighbours import item_neighbours


class ItemKNNConfig(ColdOptions):
    """Options of `ItemKNN`, in addition to `ColdOptions`.

    Attributes:
      k: number of neighbours to keep for each item.
      similarity: "cosine", "tf_idf" or "bm25", see `ItemKNN`.
      shrinkage: 0 or more, lowers similarities that few users support; not for "bm25".
      bm25_k1, bm25_b: saturation and length normalisation of "bm25".
    """

    k: PositiveInt = 100
    similarity: Literal["cosine", "tf_idf", "bm25"] = "cosine"
    shrinkage: float = Field(0.0, ge=0, allow_inf_nan=False)
    bm25_k1: PositiveFloat = 1.2
    bm25_b: float = Field(0.75, ge=0, le=1)

    @model_validator(mode="after")
    def _belong_together(self) -> ItemKNNConfig:
        if self.similarity == "bm25" and self.shrinkage:
            raise ValueError("shrinkage applies to cosine and tf_idf; leave it out for bm25")
        return self


class ItemKNN(ClassicModel):
    """Item-based kNN: scores a candidate by its summed similarity to the user's history.

    Each item keeps its `k` most similar other items (Sarwar et al. 2001). An item is the vector of
    its users' weights:

    - "cosine": `w_iu = 1`, compared by `(w_i . w_j) / (|w_i| |w_j| + shrinkage)`;
    - "tf_idf": the same with `w_iu = idf_u = max(log(items / (1 + items of u)), 0)`, so users of
      few items count more;
    - "bm25": `w_iu = idf_u (k1 + 1) / (k1 L_i + 1)`, compared by `w_i . w_j`, with
      `L_i = 1 - b + b (users of i) / (mean users of an item)`.

    These are the similarities of the package `implicit`, which has no shrinkage. It works in blocks
    of items, so no dense `[items, items]` matrix is ever in memory.

    Args:
      **options: see `ItemKNNConfig`.

    Raises:
      InputError: an invalid option.

    Example:
      >>> model = ItemKNN(k=100, similarity="tf_idf", shrinkage=5.0).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = ItemKNNConfig

    @property
    def name(self) -> str:
        kinds = {"cosine": "item-kNN", "tf_idf": "item-kNN, TF-IDF", "bm25": "item-kNN, BM25"}
        return kinds[self.config.similarity]

    def fitted(self, train) -> ItemItem:
        config, matrix = self.config, train.matrix()
        n_items = matrix.shape[1]
        users = np.bincount(matrix.indices, minlength=n_items)
        if config.similarity != "cosine":
            matrix = scipy.sparse.diags_array(inverse_frequency(matrix)) @ matrix
        if config.similarity == "bm25":
            length = 1 - config.bm25_b + config.bm25_b * users / max(users.mean(), 1e-12)
            factors = (config.bm25_k1 + 1) / (config.bm25_k1 * length + 1)
        else:
            squares = matrix.multiply(matrix).sum(0, dtype=np.float64)
            norms = np.sqrt(np.asarray(squares).ravel())
            norms = np.where(norms > 0, norms, 1.0)
            factors = 1 / norms if config.shrinkage == 0 else np.ones(n_items)
        columns = (matrix @ scipy.sparse.diags_array(factors)).astype(np.float32).tocsc()
        rows = columns.T.tocsr()

        def similar(part: slice) -> np.ndarray:
            found = (rows[part] @ columns).toarray()
            if config.shrinkage:
                found /= (norms[part, None] * norms + config.shrinkage).astype(np.float32)
            return found

        return ItemItem(item_neighbours(similar, n_items, config.k).T.tocsr())


def inverse_frequency(matrix) -> np.ndarray:
    """Returns `max(log(columns / (1 + n)), 0)` for each row of n nonzero numbers: `[rows]`."""
    taken = np.diff(matrix.indptr)
    return np.maximum(np.log(max(matrix.shape[1], 1)) - np.log1p(taken), 0.0)
