"""Stable hashes of texts, the same in NumPy and in a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion._compat import tf


def hash_rows(texts: Sequence[str], buckets: int) -> np.ndarray:
    """Returns `[n]` int32 in 0 .. buckets - 1 by `tf.strings.to_hash_bucket_fast`."""
    if not len(texts):
        return np.zeros(0, np.int32)
    with tf.device("CPU:0"):
        return bucket_tensor(list(texts), buckets).numpy()


def bucket_tensor(texts, buckets: int) -> tf.Tensor:
    """Returns the same inside a graph, in the shape of `texts`."""
    return tf.cast(tf.strings.to_hash_bucket_fast(texts, buckets), tf.int32)
