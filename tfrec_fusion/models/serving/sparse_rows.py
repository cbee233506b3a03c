"""Sparse matrix of an export, whose rows are summed for histories."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings.arrays import quantize

_PAIRS = 256  # rows of a matrix to read at a time


class Rows(Protocol):
    """A stored matrix whose rows can be summed."""

    def sums(self, rows, positions, shape, weights=None) -> tf.Tensor:
        """Sums weighted rows `[P]` by their positions: `shape`, `[B, columns]` float32."""
        ...


class SparseRows(tf.Module):
    """The nonzero numbers of a matrix in CSR form; "int8" has one scale per row.

    Args:
      matrix: `[n, m]` float32.
      precision: precision of the numbers, see `StoredItems`.
    """

    def __init__(self, matrix: scipy.sparse.csr_array, precision: str):
        super().__init__(name="weights")
        values, self.scale = matrix.data.astype(np.float32), None
        if precision == "int8":
            lengths = np.diff(matrix.indptr)
            padded = np.zeros((len(lengths), max(lengths.max(initial=0), 1)), np.float32)
            place = np.arange(padded.shape[1]) < lengths[:, None]
            padded[place] = values
            values, scale = quantize(padded)
            values = values[place]
            self.scale = tf.Variable(scale, trainable=False, name="weight_scale")
        elif precision != "float32":
            values = tf.cast(values, precision)
        self.values = tf.Variable(values, trainable=False, name="weights")
        self.columns = tf.Variable(matrix.indices.astype(np.int32), False, name="weight_columns")
        self.splits = tf.Variable(matrix.indptr.astype(np.int64), False, name="weight_splits")

    def sums(self, rows, positions, shape, weights=None) -> tf.Tensor:
        """Sums weighted rows by their positions.

        Args:
          rows: `[P]` int32.
          positions: `[P]` int32, the row of the result that each is added to.
          shape: `[2]` int32, the shape of the result.
          weights: `[P]` float32 factors; None for 1.
        """
        index, owner = entries(self.splits, rows)
        values = tf.cast(tf.gather(self.values, index), tf.float32)
        if self.scale is not None:
            values *= tf.gather(self.scale, tf.gather(rows, owner))
        if weights is not None:
            values *= tf.gather(weights, owner)
        columns = tf.gather(self.columns, index)
        return tf.scatter_nd(tf.stack([tf.gather(positions, owner), columns], 1), values, shape)


def entries(splits, rows) -> tuple[tf.Tensor, tf.Tensor]:
    """Places `[E]` of the numbers of rows `[P]` of a CSR matrix, and which row each belongs to.

    Args:
      splits: `[n + 1]` int64, where the numbers of each row begin.
      rows: `[P]` int.
    """
    begin = tf.gather(splits, rows)
    lengths = tf.gather(splits, rows + 1) - begin
    owner = tf.repeat(tf.range(tf.size(rows)), lengths)
    first = tf.cumsum(lengths, exclusive=True)
    return tf.range(tf.reduce_sum(lengths)) + tf.gather(begin - first, owner), owner


def summed(matrix: Rows, rows, positions, shape, weights=None) -> tf.Tensor:
    """Returns `matrix.sums(...)`, with few rows of the matrix in memory at a time."""

    def step(begin, sums):
        part = slice(begin, begin + _PAIRS)
        factors = None if weights is None else weights[part]
        return begin + _PAIRS, sums + matrix.sums(rows[part], positions[part], shape, factors)

    shapes = (tf.TensorShape([]), tf.TensorShape([None, tf.get_static_value(shape[1])]))
    return tf.while_loop(
        lambda begin, _: begin < tf.size(rows),
        step,
        (0, tf.zeros(shape)),
        shape_invariants=shapes,
    )[1]
