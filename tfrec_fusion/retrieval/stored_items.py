"""Item vectors of an export, stored at a chosen precision."""

from __future__ import annotations

import functools

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.embeddings.arrays import quantize
from tfrec_fusion.errors import InputError
from tfrec_fusion.retrieval import exact_top_k
from tfrec_fusion.retrieval.top_k import GROUP

PRECISIONS = ("float32", "bfloat16", "float16", "int8")
# Cast block by block, each after the product of the last but one: a block stays in the CPU cache,
# and the whole matrix is never in memory as float32.
_BLOCK_NUMBERS = 1 << 20
_MOST_BLOCKS = 64


def check_precision(precision: str) -> None:
    """Raises InputError if `precision` is not one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise InputError(
            f"export: precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}"
        )


class StoredItems(tf.Module):
    """Stores vectors at a precision, and returns rows or products of them in float32.

    "int8" stores a row as integers in [-127, 127] and one float32 scale, its largest magnitude
    / 127. The last `apart` columns (trends, a bias) may have another scale than the rest: they are
    float32 if `precision` is, else float16.

    Args:
      vectors: `[N, D]` float32.
      precision: one of `PRECISIONS`.
      apart: number of last columns to store separately.

    Raises:
      InputError: a number to be stored as float16 exceeds its range.
    """

    def __init__(self, vectors: np.ndarray, precision: str = "float32", apart: int = 0):
        super().__init__(name="items")
        self.shape, self.precision = vectors.shape, precision
        self._cut = vectors.shape[1] - (0 if precision == "float32" else apart)
        values, last = vectors[:, : self._cut], vectors[:, self._cut :]
        self.scale = self.last = None
        # One graph function per block range, shared by all callers.
        self._product_of = functools.cache(self._product_function)
        if precision == "int8":
            values, scale = quantize(values)
            self.scale = tf.Variable(scale, trainable=False, name="item_scale")
        elif precision == "bfloat16":
            values = tf.cast(values, tf.bfloat16)
        elif precision == "float16":
            values = _half(values)
        self.vectors = tf.Variable(values, trainable=False, name="item_vectors")
        if last.shape[1]:
            self.last = tf.Variable(_half(last), trainable=False, name="item_last_columns")

    @property
    def count(self) -> int:
        """The number N of vectors."""
        return self.shape[0]

    def gather(self, rows) -> tf.Tensor:
        """Returns vectors `[..., D]` float32 of rows of any shape, each from 0 to N - 1."""
        found = tf.cast(_rows(self.vectors, rows), tf.float32)
        if self.scale is not None:
            found *= tf.expand_dims(_rows(self.scale, rows), -1)
        if self.last is None:
            return found
        last = tf.cast(_rows(self.last, rows), tf.float32)
        return tf.concat([found, last], found.shape.rank - 1)  # some converters do not support -1

    def all_scores(self, queries) -> tf.Tensor:
        """Returns scores `[B, N]` of queries `[B, D]` with all vectors."""
        if self.precision == "float32":
            return tf.matmul(queries, self.vectors, transpose_b=True)
        return self.product(queries, 0, self.count)

    def scores_of(self, queries, rows) -> tf.Tensor:
        """Returns scores `[B, M]` of queries `[B, D]` with rows `[B, M]`, each from 0 to N - 1."""
        return tf.linalg.matvec(self.gather(rows), queries)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        """Returns the result of `exact_top_k` over all items."""
        items = self.vectors if self.precision == "float32" else self
        return exact_top_k(queries, items, k, masked_pairs, bias, allowed, restricted)

    def product(self, queries: tf.Tensor, first: int, end: int) -> tf.Tensor:
        """Multiplies queries `[B, D]` with the vectors `first` to `end`: `[B, end - first]`."""
        if self.precision == "float32":
            return tf.matmul(queries, self.vectors[first:end], transpose_b=True)
        return self._product_of(first, end)(queries)

    def _product_function(self, first: int, end: int):
        queries = tf.TensorSpec([None, self.shape[1]], tf.float32)
        function = functools.partial(self._product, first=first, end=end)
        return tf.function(function, [queries], autograph=False)

    def _product(self, queries, first: int, end: int) -> tf.Tensor:
        step = max(_BLOCK_NUMBERS // self.shape[1], (end - first) // _MOST_BLOCKS)
        step = (step // GROUP + 1) * GROUP
        parts: list[tf.Tensor] = []
        for begin in range(first, end, step):
            with tf.control_dependencies(parts[-2:-1]):
                parts.append(self._block(queries, begin, min(begin + step, end)))
        return parts[0] if len(parts) == 1 else tf.concat(parts, 1)

    def _block(self, queries, begin: int, end: int) -> tf.Tensor:
        values = tf.cast(self.vectors[begin:end], tf.float32)
        product = tf.matmul(queries[:, : self._cut], values, transpose_b=True)
        if self.scale is not None:
            product *= self.scale[begin:end]
        if self.last is None:
            return product
        last = tf.cast(self.last[begin:end], tf.float32)
        return product + tf.matmul(queries[:, self._cut :], last, transpose_b=True)


def _half(values: np.ndarray) -> np.ndarray:
    largest = np.finfo(np.float16).max
    if not (np.abs(values) <= largest).all():
        raise InputError(
            f"export: precision: the vectors exceed the float16 maximum {largest:g}; export in "
            f"float32. Received: {np.abs(values).max():g}"
        )
    return values.astype(np.float16)


def _rows(variable: tf.Variable, rows) -> tf.Tensor:
    """Gathers from the value: after a gather from a variable, each dense read would copy it."""
    return tf.gather(variable.read_value(), rows)
