"""What a member of a blend adds to the scores, in the graph of an export; as in `terms`."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.pipelines.terms import ROUNDING


def reciprocal_ranks(scores: tf.Tensor, candidates: tf.Tensor, k: float) -> tf.Tensor:
    """`1 / (k + rank)` of scores `[B, N + 1]`, where the last column is an unknown item.

    An unknown item has the rank that it would have among the candidates; it moves no other item.

    Args:
      candidates: `[B, N]` bool.
    """
    known = tf.where(candidates, scores[:, :-1], -float("inf"))
    order, group, starts, sizes, rounding = _runs(known)
    ranks = tf.cast(starts % tf.shape(known)[1], tf.float32) + (sizes + 1.0) / 2.0
    of_known = _put_back(tf.gather(1.0 / (k + ranks), group), order)
    apart = known - scores[:, -1:]
    above = tf.reduce_sum(tf.cast(apart > rounding, tf.float32), 1, keepdims=True)
    equal = tf.reduce_sum(tf.cast(tf.abs(apart) <= rounding, tf.float32), 1, keepdims=True)
    return tf.concat([of_known, 1.0 / (k + above + equal / 2.0 + 1.0)], 1)


def z_scores(scores: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Scores `[B, N + 1]` less the mean of the candidates `[B, N]`, in standard deviations."""
    kept = tf.cast(candidates, tf.float32)
    known = scores[:, :-1]
    count = tf.maximum(tf.reduce_sum(kept, 1, keepdims=True), 1.0)
    mean = tf.reduce_sum(known * kept, 1, keepdims=True) / count
    apart = scores - mean
    spread = tf.sqrt(tf.reduce_sum((apart[:, :-1] * kept) ** 2, 1, keepdims=True) / count)
    largest = tf.reduce_max(tf.abs(known) * kept, 1, keepdims=True)
    constant = spread <= ROUNDING * largest
    return tf.where(constant, 0.0, apart / tf.where(constant, 1.0, spread))


def reordered(values: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """The values `[B, C]` of each row in the order of the scores `[B, C]`, see `terms.reordered`.

    Both may hold -inf for the same items, which stay the last.
    """
    order, group, _, sizes, _ = _runs(scores)
    descending = tf.reshape(tf.math.top_k(values, values.shape[1]).values, [-1])
    sums = tf.math.unsorted_segment_sum(descending, group, tf.size(sizes))
    return _put_back(tf.gather(sums / sizes, group), order)


def change_of_order(scores, order, candidates, items) -> tf.Tensor:
    """What changes in scores `[B, N + 1]` if some items swap theirs, in the order of others.

    Args:
      scores, order: `[B, N + 1]`: the scores, and those whose order the items take.
      candidates: `[B, N]` bool; items that are no candidates stay.
      items: `[C]` int32 rows of the items.
    """
    values, wanted, kept = (tf.gather(x, items, axis=1) for x in (scores, order, candidates))
    lowest = -float("inf")
    moved = reordered(tf.where(kept, values, lowest), tf.where(kept, wanted, lowest))
    moved = tf.where(kept, moved - values, 0.0)
    batch, count = tf.shape(values)[0], tf.size(items)
    places = tf.stack([tf.repeat(tf.range(batch), count), tf.tile(items, [batch])], 1)
    return tf.tensor_scatter_nd_update(tf.zeros_like(scores), places, tf.reshape(moved, [-1]))


def _runs(scores: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The order of each row `[B, N]`, best first, and the runs of tied items in all rows, flat.

    Returns:
      Columns `[B, N]`, the run of each place `[B * N]`, the runs' starts (int32) and sizes
      (float32), and the largest difference `[B, 1]` of tied neighbours.
    """
    ordered, order = tf.math.top_k(scores, scores.shape[1])
    finite = tf.where(scores > -float("inf"), scores, 0.0)
    rounding = ROUNDING * tf.reduce_max(tf.abs(finite), 1, keepdims=True)
    # Of two items that are no candidates the difference is NaN, so they tie.
    later = ordered[:, :-1] - ordered[:, 1:] > rounding
    first = tf.concat([tf.ones([tf.shape(scores)[0], 1], tf.bool), later], 1)
    flat = tf.reshape(first, [-1])
    starts = tf.cast(tf.where(flat)[:, 0], tf.int32)
    ends = tf.concat([starts, tf.shape(flat)], 0)[1:]
    group = tf.cumsum(tf.cast(flat, tf.int32)) - 1
    return order, group, starts, tf.cast(ends - starts, tf.float32), rounding


def _put_back(values: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Values in the order of `_runs`, `[B * N]`, at their columns: `[B, N]`."""
    shape = tf.shape(order)
    places = tf.reshape(order + shape[1] * tf.range(shape[0])[:, None], [-1, 1])
    found = tf.reshape(tf.scatter_nd(places, values, tf.shape(values)), shape)
    found.set_shape(order.shape)
    return found
