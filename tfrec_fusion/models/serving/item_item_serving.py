"""Scoring graph of item-item models."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings.arrays import quantize
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.retrieval import exact_top_k
from tfrec_fusion.retrieval.stored_items import StoredItems

_PAIRS = 256  # rows of the matrix to read at a time


class ItemItemServing(CatalogueServing):
    """Sums the rows of an item-item matrix for a user's history; the query holds the N scores.

    An unknown item scores 0.

    Args:
      weights: `[N, N]` float32 from history item to candidate; dense or sparse.
      precision: precision of the weights, see `StoredItems`.
    """

    def __init__(self, weights: np.ndarray | scipy.sparse.csr_array, precision: str = "float32"):
        super().__init__(name="serving")
        kind = _SparseRows if scipy.sparse.issparse(weights) else _DenseRows
        self.rows = kind(weights, precision)
        self._columns = _Columns(weights.shape[0])

    @property
    def count(self) -> int:
        return self._columns.shape[0]

    def users(self, users, items, positions, ages):
        shape = [tf.shape(users)[0], self.count]

        def step(begin, scores):
            part = slice(begin, begin + _PAIRS)
            return begin + _PAIRS, scores + self.rows.sums(items[part], positions[part], shape)

        return tf.while_loop(
            lambda begin, _: begin < tf.size(items),
            step,
            (0, tf.zeros(shape)),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, self.count])),
        )[1]

    def scores_of(self, queries, rows):
        return tf.gather(queries, rows, batch_dims=1)

    def scores_with_unknown(self, queries, rows):
        return tf.where(rows < 0, 0.0, self.scores_of(queries, tf.maximum(rows, 0)))

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        return exact_top_k(queries, self._columns, k, masked_pairs, bias, allowed, restricted)


class _DenseRows(tf.Module):
    def __init__(self, weights: np.ndarray, precision: str):
        super().__init__(name="weights")
        self.weights = StoredItems(weights, precision)

    def sums(self, items, positions, shape) -> tf.Tensor:
        """Sums the rows `items` `[P]` by their positions; `shape` is the shape of the sums."""
        return tf.math.unsorted_segment_sum(self.weights.gather(items), positions, shape[0])


class _SparseRows(tf.Module):
    """The nonzero weights in CSR form; "int8" has one scale per row."""

    def __init__(self, weights: scipy.sparse.csr_array, precision: str):
        super().__init__(name="weights")
        values, self.scale = weights.data.astype(np.float32), None
        if precision == "int8":
            lengths = np.diff(weights.indptr)
            padded = np.zeros((len(lengths), max(lengths.max(initial=0), 1)), np.float32)
            place = np.arange(padded.shape[1]) < lengths[:, None]
            padded[place] = values
            values, scale = quantize(padded)
            values = values[place]
            self.scale = tf.Variable(scale, trainable=False, name="weight_scale")
        elif precision != "float32":
            values = tf.cast(values, precision)
        self.values = tf.Variable(values, trainable=False, name="weights")
        self.columns = tf.Variable(weights.indices.astype(np.int32), False, name="weight_columns")
        self.splits = tf.Variable(weights.indptr.astype(np.int64), False, name="weight_splits")

    def sums(self, items, positions, shape) -> tf.Tensor:
        begin = tf.gather(self.splits, items)
        lengths = tf.gather(self.splits, items + 1) - begin
        owner = tf.repeat(tf.range(tf.size(items)), lengths)
        first = tf.cumsum(lengths, exclusive=True)
        index = tf.range(tf.reduce_sum(lengths)) + tf.gather(begin - first, owner)
        values = tf.cast(tf.gather(self.values, index), tf.float32)
        if self.scale is not None:
            values *= tf.gather(self.scale, tf.gather(items, owner))
        columns = tf.gather(self.columns, index)
        return tf.scatter_nd(tf.stack([tf.gather(positions, owner), columns], 1), values, shape)


class _Columns:
    """Lets `exact_top_k` read queries that already are scores, in place of item vectors."""

    def __init__(self, count: int):
        self.shape = (count, count)

    def product(self, queries, first: int, end: int) -> tf.Tensor:
        return queries[:, first:end]
