"""Ranks where every score is one dot product: the scores never leave the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
from scipy import sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.ranks import Ranks
from tfrec_fusion.retrieval.top_k import GROUP, best_members

_COMPARED = 1 << 24  # target-candidate comparisons held at once


def rank_by_vectors(
    scorer,
    users: np.ndarray,
    targets,
    matrix: sparse.csr_matrix,
    cold: np.ndarray,
    cuts: tuple[int, ...],
    step: int,
) -> Ranks:
    """Rank the whole catalogue for each user, from vectors.

    A block of users is scored in one product, in which a target meets its own score and identical
    items get identical ones. Group maxima then find the best candidates of each user, more of them
    than the longest cut-off and the user's targets together, and each target is counted among
    these. A target below all of them is beyond every cut-off, so that no other item has to be
    looked at; only for one level with the last of them are all its ties counted.

    Args:
      scorer: with `item_vectors` `[items, D] float` and `user_vectors(users [B] int32)`, which
        gives `[B, D]`; arrays or tensors.
      users: `[users] int32` rows of the evaluated users.
      targets: their new test items, with `splits` and `items`.
      matrix: `[users, items]` training pairs, masked for their user.
      cold: `[items] bool` items that are also ranked among themselves.
      cuts: cut-offs, ascending.
      step: users a block at most.

    Raises:
      InputError: vectors of another shape or not finite, or targets among the training items.
    """
    ranks = Ranks.of(targets, matrix, cuts)
    table = _ItemTable(_checked(scorer.item_vectors, "item_vectors", len(cold)), cold)
    lengths = np.diff(targets.splits)
    # Users with as many targets share a block, so that its lists are no longer than they need.
    order = np.argsort(-lengths, kind="stable")
    place = np.repeat(targets.splits[order] - _before(lengths[order]), lengths[order])
    place += np.arange(len(place))
    stops = np.cumsum(lengths[order])

    def prepare(start: int, stop: int):
        """A block's users (positions), its targets (places), and the call that ranks them."""
        chosen, count = order[start:stop], lengths[order[start:stop]]
        here = place[stops[start] - count[0] : stops[stop - 1]]
        seen = matrix[users[chosen]]
        return (
            chosen,
            here,
            partial(
                table.rank,
                _checked(scorer.user_vectors(users[chosen]), "user_vectors", len(chosen)),
                np.repeat(np.arange(len(chosen)), np.diff(seen.indptr)),
                seen.indices,
                np.repeat(np.arange(len(chosen)), count),
                ranks.item[here],
                cuts[-1],
                cuts[-1] + int(count[0]),
            ),
        )

    def finish(chosen: np.ndarray, here: np.ndarray, ranked: Future) -> None:
        score, counts, lists = ranked.result()
        ranks.set_scores(users, here, score)
        ranks.greater[here], ranks.equal[here] = counts[:2]
        ranks.greater_cold[here], ranks.equal_cold[here] = counts[2:]
        ranks.add_lists(chosen, lists)

    # Two blocks at a time: what is serial in one leaves the processor to the other.
    with ThreadPoolExecutor(2) as pool:
        running = deque()
        for block in _blocks(lengths[order], cuts[-1], step):
            chosen, here, work = prepare(*block)
            running.append((chosen, here, pool.submit(work)))
            if len(running) == 2:
                finish(*running.popleft())
        while running:
            finish(*running.popleft())
    _raise_equal(ranks, cold)
    return ranks


class _ItemTable:
    """Item vectors on the device, the warm items before the cold, each in whole groups."""

    def __init__(self, item_vectors, cold: np.ndarray):
        parts = [np.flatnonzero(~cold), np.flatnonzero(cold)]
        parts = [np.append(rows, np.full(-len(rows) % GROUP, -1)) for rows in parts]
        self.rows = np.concatenate(parts).astype(np.int32)
        self.column = np.empty(len(cold), np.int32)
        filled = self.rows >= 0
        self.column[self.rows[filled]] = np.flatnonzero(filled)
        in_order = np.array_equal(self.rows, np.arange(len(cold)))
        self.vectors = (
            item_vectors if in_order else tf.gather(item_vectors, np.maximum(self.rows, 0))
        )
        self.sizes = np.array([np.count_nonzero(~cold), np.count_nonzero(cold)], np.int32)

    def rank(self, vectors, seen_user, seen_item, target_user, target_item, longest, depth):
        """Target scores `[T]`, counts `[4, T]` and lists `[B, longest]` of a block of users."""
        hidden = np.stack([seen_user, self.column[seen_item]], 1).astype(np.int32)
        targets = np.stack([target_user, self.column[target_item]], 1).astype(np.int32)
        score, counts, *found = _rank_block(
            vectors, self.vectors, self.sizes, hidden, targets, depth
        )
        (greater, equal), (greater_cold, equal_cold) = counts.numpy()
        counts = greater + greater_cold, equal + equal_cold, greater_cold, equal_cold
        return score.numpy(), counts, self._lists([f.numpy() for f in found], longest)

    def _lists(self, found: list[np.ndarray], longest: int) -> np.ndarray:
        """The best items of both segments, ties to the lower row."""
        best = [values[:, :longest] for values in found]
        scores, columns = np.concatenate(best[::2], 1), np.concatenate(best[1::2], 1)
        rows = np.where(scores > -np.inf, self.rows[columns], -1)
        if all(values.shape[1] for values in best):
            order = np.lexsort((rows, -scores))
            rows = np.take_along_axis(rows, order, axis=1)
        rows = rows[:, :longest]
        return np.pad(rows, [(0, 0), (0, longest - rows.shape[1])], constant_values=-1)


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([2], tf.int32),
        tf.TensorSpec([None, 2], tf.int32),
        tf.TensorSpec([None, 2], tf.int32),
        tf.TensorSpec([], tf.int32),
    ],
    autograph=False,
)
def _rank_block(users, vectors, sizes, hidden, targets, depth):
    """Target scores `[T]`, counts `[2, 2, T]` (warm and cold, greater and equal), and both lists.

    Args:
      users: `[B, D]`.
      vectors: `[columns, D]` warm items in whole groups, and then cold ones.
      sizes: numbers of warm and cold items.
      hidden: `[P, 2]` (user, column) of what is no candidate.
      targets: `[T, 2]` (user, column).
      depth: how many of the best candidates to count among.
    """
    scores = tf.matmul(users, vectors, transpose_b=True)
    nothing = tf.fill(tf.shape(hidden)[:1], tf.constant(-np.inf, tf.float32))
    scores = tf.tensor_scatter_nd_update(scores, hidden, nothing)
    warm_groups, cold_groups = tf.unstack((sizes + GROUP - 1) // GROUP)
    n_groups = warm_groups + cold_groups
    # What fills up the last group of the warm and of the cold items is no item.
    for begin, end in ((sizes[0], warm_groups), (warm_groups * GROUP + sizes[1], n_groups)):
        beyond = [tf.shape(users)[0], end * GROUP - begin]
        scores = tf.raw_ops.TensorStridedSliceUpdate(
            input=scores,
            begin=[0, begin],
            end=[tf.shape(users)[0], end * GROUP],
            strides=[1, 1],
            value=tf.fill(beyond, tf.constant(-np.inf, tf.float32)),
        )
    target = tf.gather_nd(scores, targets)
    groups = tf.reshape(scores, [-1, n_groups, GROUP])
    maxima = tf.reduce_max(groups, 2)
    counts, found = [], []
    for first, end in ((0, warm_groups), (warm_groups, n_groups)):
        k = tf.minimum(depth, (end - first) * GROUP)
        best, columns = best_members(groups, maxima[:, first:end], k, first)
        listed = tf.gather(best, targets[:, 0])
        same = listed == target[:, None]
        level = tf.where(tf.reduce_any(same[:, -1:], 1))[:, 0]
        every = tf.map_fn(
            lambda i, first=first, end=end: _count(
                scores[targets[i, 0], first * GROUP : end * GROUP] == target[i]
            ),
            level,
            fn_output_signature=tf.int32,
        )
        equal = tf.tensor_scatter_nd_update(_count(same), level[:, None], every)
        counts.append(tf.stack([_count(listed > target[:, None]), equal]))
        found += [best, columns]
    return target, tf.stack(counts), *found


def _count(mask):
    return tf.reduce_sum(tf.cast(mask, tf.int32), -1)


def _before(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum(lengths) - lengths


def _blocks(lengths: np.ndarray, longest: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of users, whose numbers of targets descend, that fit into memory together."""
    start = 0
    while start < len(lengths):
        most = int(lengths[start])
        size = max(1, min(step, _COMPARED // max(1, most * (longest + most))))
        yield start, min(start + size, len(lengths))
        start += size


def _raise_equal(ranks: Ranks, cold: np.ndarray) -> None:
    """Let a target that no cut-off reaches tie with the user's targets that have its score."""
    is_cold = cold[ranks.item]
    order = np.lexsort((ranks.score, ranks.user))
    user, score = ranks.user[order], ranks.score[order]
    new = np.ones(len(order), bool)
    new[1:] = (user[1:] != user[:-1]) | (score[1:] != score[:-1])
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    tied_cold = np.bincount(group, weights=is_cold).astype(np.int64)[group]
    tied = np.bincount(group)[group]
    warm = np.maximum(ranks.equal - ranks.equal_cold, tied - tied_cold)
    np.maximum(ranks.equal_cold, tied_cold, out=ranks.equal_cold)
    ranks.equal[:] = warm + ranks.equal_cold


def _checked(vectors, name: str, rows: int) -> tf.Tensor:
    vectors = tf.cast(tf.convert_to_tensor(vectors), tf.float32)
    if vectors.shape.rank != 2 or len(vectors) != rows:
        raise InputError(
            f"evaluate: the scorer's {name} must be [{rows}, dim]. Received: shape {vectors.shape}"
        )
    # One number that is not finite makes the sum so, and the sum is cheap.
    if not np.isfinite(tf.reduce_sum(vectors)):
        wrong = np.argwhere(~np.isfinite(vectors.numpy()))
        if len(wrong):
            row, column = wrong[0]
            raise InputError(
                f"evaluate: the scorer's {name} must be finite, but {len(wrong)} numbers are not. "
                f"Received: {vectors[row, column].numpy()} in row {row}"
            )
    return vectors
