"""Regularised least squares for many rows of a sparse matrix at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse

_NUMBERS = 1 << 22  # of the largest array of a batch of rows


def solved_rows(
    matrix: scipy.sparse.csr_array, vectors: np.ndarray, gram: np.ndarray, ridge: np.ndarray
) -> np.ndarray:
    """Solves `(gram + ridge_u I + sum_i m_ui v_i v_i') x_u = sum_i m_ui v_i` for each row u.

    Rows of similar length are solved together, batches in several threads; the result does not
    depend on the number of threads.

    Args:
      matrix: `[n, m]` CSR, no negative numbers.
      vectors: `[m, d]` float32.
      gram: `[d, d]` float; the equations are solved in its precision.
      ridge: `[n]`, above 0.

    Returns:
      `[n, d]` float32.
    """
    dim = vectors.shape[1]
    lengths = np.diff(matrix.indptr)
    found = np.zeros((len(lengths), dim), np.float32)
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]  # an empty row is 0

    def solve(rows: np.ndarray) -> None:
        columns = np.arange(lengths[rows[-1]])
        inside = columns < lengths[rows, None]
        place = np.where(inside, matrix.indptr[rows, None] + columns, 0)
        weights = np.where(inside, matrix.data[place], 0).astype(np.float32)
        taken = vectors[matrix.indices[place]]
        weighted = taken * weights[..., None]
        left = (taken.transpose(0, 2, 1) @ weighted) + gram
        left[:, np.arange(dim), np.arange(dim)] += ridge[rows, None].astype(gram.dtype)
        right = weighted.sum(1, dtype=gram.dtype)
        found[rows] = np.linalg.solve(left, right[..., None])[..., 0]

    batches = _batches(order, lengths, dim)
    if len(batches) == 1:
        solve(batches[0])
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(solve, batches))
    return found


def _batches(order: np.ndarray, lengths: np.ndarray, dim: int) -> list[np.ndarray]:
    """Cuts rows of ascending length into batches of bounded memory."""
    batches, start = [], 0
    while start < len(order):
        stop = min(start + max(_NUMBERS // (dim * dim), 1), len(order))
        widest = lengths[order[start:stop]].astype(np.int64)
        fits = np.arange(1, stop - start + 1) * widest * dim <= _NUMBERS
        stop = start + max(int(fits.sum()), 1)  # fits, then no more, as lengths ascend
        batches.append(order[start:stop])
        start = stop
    return batches
