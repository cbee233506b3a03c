"""Fuses ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import tf


def rank_gains(rows: tf.Tensor, constant: float, weight: float = 1.0) -> tf.Tensor:
    """Returns `weight / (constant + rank)` `[B, C]` for ranked rows `[B, C]`, 0 for row -1."""
    ranks = tf.range(1, tf.shape(rows)[1] + 1, dtype=tf.float32)
    return tf.where(rows < 0, 0.0, weight / (constant + ranks))


def merged_lists(
    lists: Sequence[tuple[tf.Tensor, tf.Tensor]],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Merges lists, adding the gains of a row that is in several.

    With `rank_gains`, this is reciprocal rank fusion (Cormack, Clarke and Buettcher 2009).

    Args:
      lists: rows `[B, C]` int32, -1 for none and distinct in each list, and gains `[B, C]` float32.

    Returns:
      Rows `[B, M]` ascending, each once, at its first place, and -1 elsewhere; and their gains
      `[B, M]`, 0 at -1.

    Example:
      >>> one = tf.constant([[3, 7]]), tf.constant([[0.5, 0.25]])
      >>> other = tf.constant([[7, -1]]), tf.constant([[0.5, 0.0]])
      >>> [values.numpy().tolist() for values in merged_lists([one, other])]
      [[[3, 7, -1, -1]], [[0.5, 0.75, 0.0, 0.0]]]
    """
    rows = tf.concat([one for one, _ in lists], 1)
    keys = tf.where(rows < 0, tf.int32.max, rows)
    order = tf.argsort(keys, 1, stable=True)
    keys = tf.gather(keys, order, batch_dims=1)
    gains = tf.gather(tf.concat([gain for _, gain in lists], 1), order, batch_dims=1)
    summed = gains
    for step in range(1, len(lists)):
        later = tf.pad(keys[:, step:], [[0, 0], [0, step]], constant_values=-1)
        more = tf.pad(gains[:, step:], [[0, 0], [0, step]])
        summed += tf.where(later == keys, more, 0.0)
    left = tf.pad(keys[:, :-1], [[0, 0], [1, 0]], constant_values=-1)
    first = (keys != left) & (keys < tf.int32.max)
    return tf.where(first, keys, -1), tf.where(first, summed, 0.0)
