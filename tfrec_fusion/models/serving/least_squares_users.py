"""User vectors by least squares, as a graph."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf

_COLUMNS = 64  # items of each history to read at a time


class LeastSquaresUsers(tf.Module):
    """Solves `(gram + ridge I + sum_i v_i v_i') x = sum_i v_i` for each user's history.

    `ridge = l2 (items of the history + unobserved)^exponent`. Without a history x is 0.

    Args:
      gram: `[D, D]` float32.
      l2, unobserved, exponent: numbers of the ridge.
    """

    def __init__(self, gram: np.ndarray, l2: float, unobserved: float, exponent: float):
        super().__init__(name="least_squares")
        self.gram = tf.Variable(gram, trainable=False, name="gram")
        self._l2, self._unobserved, self._exponent = l2, unobserved, exponent

    def __call__(self, users, past, items, positions, ages) -> tf.Tensor:
        size, dim = tf.shape(users)[0], self.gram.shape[0]
        starts = tf.searchsorted(positions, tf.range(size))
        lengths = tf.searchsorted(positions, tf.range(size), side="right") - starts

        def step(begin, left, right):
            columns = begin + tf.range(_COLUMNS)
            inside = columns < lengths[:, None]
            rows = tf.gather(past, tf.where(inside, starts[:, None] + columns, 0))
            rows *= tf.cast(inside, tf.float32)[..., None]
            left += tf.matmul(rows, rows, transpose_a=True)
            return begin + _COLUMNS, left, right + tf.reduce_sum(rows, 1)

        longest = tf.reduce_max(lengths)
        _, left, right = tf.while_loop(
            lambda begin, *_: begin < longest,
            step,
            (0, tf.zeros([size, dim, dim]), tf.zeros([size, dim])),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, dim, dim]),
                tf.TensorShape([None, dim]),
            ),
        )
        counts = tf.cast(lengths, tf.float64) + self._unobserved
        ridge = self._l2 * counts**self._exponent
        left = tf.cast(left + self.gram, tf.float64)
        left += ridge[:, None, None] * tf.eye(dim, dtype=tf.float64)
        solved = tf.linalg.cholesky_solve(
            tf.linalg.cholesky(left), tf.cast(right, tf.float64)[..., None]
        )
        return tf.cast(solved[..., 0], tf.float32)
