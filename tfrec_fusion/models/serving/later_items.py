"""Order of history items in a serving graph."""

from __future__ import annotations

from tfrec_fusion._compat import tf


def later_items(positions: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Returns how many items of the same history come later, `[P]` int32; 0 for the last one.

    Args:
      positions: `[P]` int32 ascending: the position in the batch of each item's user.
      batch: int scalar, the number of users.

    Example:
      >>> later_items(tf.constant([0, 0, 2]), 3).numpy().tolist()
      [1, 0, 0]
    """
    counts = tf.cast(
        tf.math.unsorted_segment_sum(tf.ones_like(positions, tf.float32), positions, batch),
        tf.int32,
    )
    ends = tf.gather(tf.cumsum(counts), positions)
    return ends - tf.range(tf.size(positions)) - 1
