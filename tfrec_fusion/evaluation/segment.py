"""Finds the best items of a part of the catalogue, by blocks of users and items."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.retrieval.top_k import GROUP, best_members

BLOCK_SCORES = 1 << 25  # scores held at once (128 MB)
_SPLIT_SCORES = 1 << 23  # the same if items are split: larger blocks save no Python calls
_SMALL_GROUP = 8  # divides GROUP
_SMALL = 64 * GROUP  # up to this many items, smaller groups leave fewer members to choose from


class Segment:
    """A set of items that are ranked among themselves, with their vectors on the device.

    Args:
      item_vectors: `[items, D]` float32 tensor of the whole catalogue.
      rows: `[size] int32` item rows of the segment, ascending, at least one.
    """

    def __init__(self, item_vectors: tf.Tensor, rows: np.ndarray):
        self.rows = rows
        filled = np.append(rows, np.zeros(-len(rows) % GROUP, rows.dtype))
        whole = np.array_equal(filled, np.arange(len(item_vectors)))
        self._vectors = item_vectors if whole else tf.gather(item_vectors, filled)

    def best(self, users, hidden, targets, depth: int):
        """Finds the best items of each user, and the scores of targets.

        Args:
          users: `[B, D]` float32 tensor of user vectors.
          hidden: `[P, 2] int32` (position in users, position in rows), the masked candidates.
          targets: `[T, 2] int32` likewise.
          depth: number of items to find; fewer if the segment is smaller.

        Returns:
          Scores `[B, depth] float32`, best first, -inf if no candidate is left; positions in rows
          `[B, depth] int32`, ties by lower position; and the targets' scores `[T] float32`. Equal
          vectors have equal scores.
        """
        size, block = len(self.rows), self._block_items(len(users))
        group = GROUP if size > _SMALL else _SMALL_GROUP
        found = _best(users, self._vectors, size, hidden, targets, depth, block, group)
        best, places, score = (values.numpy() for values in found)
        return best, np.minimum(places, size - 1), score  # no positions in the padding

    def count_equal(self, users, hidden, position, score) -> np.ndarray:
        """Counts, `[T] int32`, the candidates of the users at `position` `[T]` with this score."""
        block = self._block_items(len(users))
        return _count_equal(
            users, self._vectors, len(self.rows), hidden, position, score, block
        ).numpy()

    def _block_items(self, n_users: int) -> int:
        if n_users * len(self.rows) <= BLOCK_SCORES:
            return len(self._vectors)
        return max(GROUP, _SPLIT_SCORES // n_users // GROUP * GROUP)


_MATRIX = tf.TensorSpec([None, None], tf.float32)
_NUMBER = tf.TensorSpec([], tf.int32)
_PAIRS = tf.TensorSpec([None, 2], tf.int32)


@tf.function(
    input_signature=[_MATRIX, _MATRIX, _NUMBER, _PAIRS, _PAIRS, _NUMBER, _NUMBER, _NUMBER],
    autograph=False,
)
def _best(users, vectors, size, hidden, targets, depth, block, group):
    def more(start, best, columns, score):
        stop = tf.minimum(start + block, tf.shape(vectors)[0])
        scores = _scores(users, vectors, size, hidden, start, stop)
        inside = tf.where((targets[:, 1] >= start) & (targets[:, 1] < stop))
        pairs = tf.gather(targets, inside[:, 0]) - tf.stack([0, start])
        score = tf.tensor_scatter_nd_update(score, inside, tf.gather_nd(scores, pairs))
        groups = tf.reshape(scores, [-1, (stop - start) // group, group])
        k = tf.minimum(depth, stop - start)
        here, places = best_members(groups, tf.reduce_max(groups, 2), k)
        places += start

        def merged():
            both = tf.concat([best, here], 1)
            values, place = tf.math.top_k(both, tf.minimum(depth, tf.shape(both)[1]))
            return values, tf.gather(tf.concat([columns, places], 1), place, batch_dims=1)

        best, columns = tf.cond(start > 0, merged, lambda: (here, places))
        return stop, best, columns, score

    nothing = tf.zeros([tf.shape(users)[0], 0])
    start = (0, nothing, tf.cast(nothing, tf.int32), tf.zeros(tf.shape(targets)[:1]))
    _, best, columns, score = tf.while_loop(
        lambda start, *_: start < tf.shape(vectors)[0],
        more,
        start,
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None]),
        ),
        parallel_iterations=1,
    )
    return best, columns, score


@tf.function(
    input_signature=[
        *(_MATRIX, _MATRIX, _NUMBER, _PAIRS),
        *(tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32), _NUMBER),
    ],
    autograph=False,
)
def _count_equal(users, vectors, size, hidden, position, score, block):
    def more(start, count):
        stop = tf.minimum(start + block, tf.shape(vectors)[0])
        scores = _scores(users, vectors, size, hidden, start, stop)
        count += tf.map_fn(
            lambda i: tf.reduce_sum(tf.cast(scores[position[i]] == score[i], tf.int32)),
            tf.range(tf.size(position)),
            parallel_iterations=1,
        )
        return stop, count

    return tf.while_loop(
        lambda start, _: start < tf.shape(vectors)[0],
        more,
        (0, tf.zeros_like(position)),
        parallel_iterations=1,
    )[1]


def _scores(users, vectors, size, hidden, start, stop):
    """Scores `[B, stop - start]` of a block of items, -inf for masked candidates and padding."""
    scores = tf.matmul(users, vectors[start:stop], transpose_b=True)
    hidden = tf.boolean_mask(hidden, (hidden[:, 1] >= start) & (hidden[:, 1] < stop))
    nothing = tf.constant(-np.inf, tf.float32)
    scores = tf.tensor_scatter_nd_update(
        scores, hidden - tf.stack([0, start]), tf.fill(tf.shape(hidden)[:1], nothing)
    )
    # The padding of the last group holds no items.
    n_users, n_items = tf.shape(users)[0], tf.minimum(size, stop) - start
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=scores,
        begin=[0, n_items],
        end=[n_users, stop - start],
        strides=[1, 1],
        value=tf.fill([n_users, stop - start - n_items], nothing),
    )
