"""Scorer that exposes the vectors of its dot products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfrec_fusion._compat import tf


@dataclass(frozen=True)
class DotProductScorer:
    """A function from user rows to scores, with the user and item vectors as attributes.

    Attributes:
      user_vectors: a function from user rows `[B]` int32 to `[B, D]` float32.
      item_vectors: `[n_items, D]` float32.

    Example:
      >>> scorer = DotProductScorer(lambda users: tf.ones([len(users), 1]), tf.constant([[2.0]]))
      >>> scorer(np.array([0]))
      array([[2.]], dtype=float32)
    """

    user_vectors: Callable[[np.ndarray], tf.Tensor]
    item_vectors: tf.Tensor

    def __call__(self, users: np.ndarray) -> np.ndarray:
        """Returns scores `[B, n_items]` float32 of user rows `[B]`."""
        return tf.matmul(self.user_vectors(users), self.item_vectors, transpose_b=True).numpy()
