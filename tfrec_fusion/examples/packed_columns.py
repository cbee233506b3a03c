"""Packs columns side by side, so that gathering a row is one memory access."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf

_WORDS = {4: np.int32, 8: np.int64}


class PackedColumns:
    """Columns of equal length as CPU tensors, from which rows are gathered.

    Numbers of 4 bytes lie row by row in one matrix, those of 8 bytes in another, so gathering a
    row costs one memory access. Other columns stay separate. The tensors are not graph constants,
    so they may exceed the 2 GB of a GraphDef.

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
        """Gathers the rows `[R]`: name -> `[R, ...]`."""
        taken = {name: tf.gather(values, rows) for name, values in self._single.items()}
        for names, matrix in self._packed.items():
            words = tf.unstack(tf.gather(matrix, rows), axis=1)
            for name, word in zip(names, words, strict=True):
                taken[name] = tf.bitcast(word, self._dtypes[name])
        return taken


def _is_number(values: np.ndarray, size: int) -> bool:
    return values.ndim == 1 and values.dtype.kind in "iuf" and values.itemsize == size
