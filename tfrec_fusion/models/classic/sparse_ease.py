"""EASE for large catalogues: the ridge regression of each item on a few others."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from pydantic import PositiveInt

from tfrec_fusion.models.classic.linear_model import LinearModel
from tfrec_fusion.models.classic.linear_options import LinearOptions
from tfrec_fusion.progress import WorkProgress

_BLOCK = 256  # items at a time
_SOLVED = 32  # systems at a time


class SparseEASEConfig(LinearOptions):
    """Options of `SparseEASE`, in addition to `LinearOptions`.

    Attributes:
      neighbours: number of items that each item is regressed on.
      kept: number of largest counts of users in common to keep of each item; others count as 0.
    """

    neighbours: PositiveInt = 100
    kept: PositiveInt = 1000


class SparseEASE(LinearModel):
    """EASE with few weights per item, for catalogues of 100,000 items and more.

    The weights of candidate j minimise the error of EASE over its neighbours S alone:
    `B_Sj = (G_SS + l2 I)^-1 G_Sj` with `G = X'X + text_weight Z Z'`, as in sparse Markov random
    fields (Steck 2019, https://arxiv.org/abs/1909.13009). S are the items with the largest
    `|G_ij| / sqrt((G_ii + l2) (G_jj + l2))`. With all other items as neighbours it is `EASE`.

    No matrix of all pairs is ever in memory: of the counts in `X'X` it keeps the `kept` largest of
    each item, 8 bytes each, and of the weights `neighbours` an item.

    Args:
      **options: see `SparseEASEConfig`.

    Raises:
      InputError: as `EASE`, but for any number of items.

    Example:
      >>> model = SparseEASE(neighbours=10).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = SparseEASEConfig

    def solved(self, matrix, text) -> scipy.sparse.csr_array:
        config, size = self.config, matrix.shape[1]
        gram = _Gram(matrix, text, config.text_weight, config.l2, config.kept)
        k = min(config.neighbours, size - 1)
        rows = gram.strongest(k)
        values = np.empty((size, k), np.float32)
        with WorkProgress("SparseEASE:", -(-size // _SOLVED), "blocks", tell_end=False) as progress:
            for start in range(0, size, _SOLVED):
                part = slice(start, start + _SOLVED)
                values[part] = gram.solved(start, rows[part])
                progress.advance()
        columns = np.repeat(np.arange(size), k)
        weights = scipy.sparse.coo_array((values.ravel(), (rows.ravel(), columns)), (size, size))
        weights = weights.tocsr()
        weights.eliminate_zeros()
        return weights


class _Gram:
    """The matrix `G + l2 I`, without its small counts."""

    def __init__(self, matrix, text, text_weight: float, l2: float, kept: int):
        self._text, self._weight, self._l2 = text, np.float32(text_weight), np.float32(l2)
        transposed, parts = matrix.T.tocsr(), []
        for start in range(0, matrix.shape[1], _BLOCK):
            parts.append(_largest(transposed[start : start + _BLOCK] @ matrix, kept))
        counts = scipy.sparse.vstack(parts).tocsr()
        self._counts = counts.maximum(counts.T).tocsr()
        self._counts.sort_indices()
        self._diagonal = self._counts.diagonal() + self._l2
        if text is not None:
            self._diagonal = self._diagonal + self._weight * (text**2).sum(1)

    def strongest(self, k: int) -> np.ndarray:
        """Returns the k strongest other items of each item: `[n_items, k]` int64."""
        size = len(self._diagonal)
        scale = 1 / np.sqrt(self._diagonal)
        found = np.empty((size, k), np.int64)
        for start in range(0, size, _BLOCK):
            block = self._counts[start : start + _BLOCK].toarray()
            if self._text is not None:
                block += self._weight * (self._text[start : start + _BLOCK] @ self._text.T)
            block = np.abs(block * scale)
            rows = np.arange(len(block))
            block[rows, rows + start] = -1.0
            found[start : start + _BLOCK] = np.argpartition(-block, k - 1, axis=1)[:, :k]
        return found

    def solved(self, first: int, rows: np.ndarray) -> np.ndarray:
        """Returns the weights `[b, k]` of the items from `first` on, on the items `rows`."""
        systems, targets = [], []
        for place, support in enumerate(rows):
            both = np.append(support, first + place)
            system = self._counts[both][:, both].toarray()
            if self._text is not None:
                text = self._text[both]
                system += self._weight * (text @ text.T)
            systems.append(system[:-1, :-1])
            targets.append(system[:-1, -1])
        systems = np.stack(systems).astype(np.float64)
        index = np.arange(rows.shape[1])
        systems[:, index, index] += self._l2
        return np.linalg.solve(systems, np.stack(targets)[..., None])[..., 0]


def _largest(block: scipy.sparse.csr_matrix, count: int) -> scipy.sparse.csr_matrix:
    """The `count` largest numbers of each row."""
    lengths = np.diff(block.indptr)
    if lengths.max(initial=0) <= count:
        return block
    owner = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort([-block.data, owner])
    place = np.arange(len(order)) - block.indptr[owner]
    kept = order[place < count]
    pairs = (owner[kept], block.indices[kept])
    return scipy.sparse.csr_matrix((block.data[kept], pairs), block.shape)
