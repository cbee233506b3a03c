"""The item vectors of an export."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.retrieval import exact_top_k


class StoredItems(tf.Module):
    """Item vectors as a variable, and the two ways in which they are read.

    Args:
      vectors: `[N, D]` float32.
    """

    def __init__(self, vectors: np.ndarray):
        super().__init__(name="items")
        self.vectors = tf.Variable(vectors, trainable=False, name="item_vectors")

    @property
    def count(self) -> int:
        """N."""
        return self.vectors.shape[0]

    def gather(self, rows) -> tf.Tensor:
        """The vectors `[..., D]` float32 of rows of any shape, each from 0 to N - 1."""
        # Gathering from the variable itself would make each read of the whole a copy from then on.
        return tf.gather(self.vectors.read_value(), rows)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None):
        """`exact_top_k` over all items."""
        return exact_top_k(queries, self.vectors, k, masked_pairs, bias, allowed)
