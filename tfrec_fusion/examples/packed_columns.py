"""Columns side by side, so that reading a row is one access."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf

_WORDS = {4: np.int32, 8: np.int64}


class PackedColumns:
    """Equally long columns as CPU tensors that rows are gathered from.

    Numbers of 4 bytes lie row by row in one matrix, those of 8 bytes in another, so that a row of
    them is one access to memory. Other columns stay as they are. The tensors are outside the graph,
    so that they may be larger than the 2 GB of a GraphDef.

    Args:
      columns: name -> array `[n, ...]`.
    """

    def __init__(self, columns: Mapping[str, np.ndarray]):
        columns = {name: np.asarray(values) for name, values in columns.items()}
        self._packed, self._dtypes = {}, {}
        with tf.device("CPU:0"):
            for size, word in _WORDS.items():
                names = [name for name, values in columns.items() if _is_number(values, size)]
                if len(names) > 1:
                    values = [np.ascontiguousarray(columns.pop(name)) for name in names]
                    self._dtypes |= {n: v.dtype for n, v in zip(names, values, strict=True)}
                    matrix = np.stack([v.view(word) for v in values], 1)
                    self._packed[tuple(names)] = tf.convert_to_tensor(matrix)
            self._single = {name: tf.convert_to_tensor(values) for name, values in columns.items()}

    def take(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """name -> `[R, ...]` of the rows `[R]`."""
        taken = {name: tf.gather(values, rows) for name, values in self._single.items()}
        for names, matrix in self._packed.items():
            words = tf.unstack(tf.gather(matrix, rows), axis=1)
            for name, word in zip(names, words, strict=True):
                taken[name] = tf.bitcast(word, self._dtypes[name])
        return taken


def _is_number(values: np.ndarray, size: int) -> bool:
    return values.ndim == 1 and values.dtype.kind in "iuf" and values.itemsize == size
