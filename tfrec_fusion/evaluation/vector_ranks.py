"""Ranks targets by dot products of vectors; the scores never leave the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from scipy import sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.ranks import Ranks
from tfrec_fusion.evaluation.segment import BLOCK_SCORES, Segment

_COMPARED = 1 << 24  # target-candidate comparisons held at once
_FEW_USERS = 128  # smaller blocks would read the items too often


def rank_by_vectors(
    ranks: Ranks,
    scorer,
    users: np.ndarray,
    targets,
    masked: sparse.csr_matrix,
    cold: np.ndarray,
    cuts: tuple[int, ...],
    batch: int,
    advance: Callable[[int], None],
) -> None:
    """Ranks the whole catalogue for each user, from user and item vectors.

    Blocks of users are scored against blocks of items (`Segment`). Targets and candidates get their
    scores from the same products, so identical items have identical scores. Group maxima find the
    best candidates of each user, as many as the longest cut-off plus the user's targets, and ranks
    are counted among these. A target below all of them is beyond every cut-off and needs no count.
    Only if a target within reach of a cut-off ties with the last of them are all its ties counted.

    Args:
      ranks: the counts of the targets, to be filled.
      scorer: has `item_vectors` `[items, D] float` and `user_vectors(users [B] int32)`, which
        returns `[B, D]`; arrays or tensors.
      users: `[users] int32` rows of the evaluated users.
      targets: their new test items, with `splits` and `items`.
      masked: `[users, items]` pairs that are no candidates.
      cold: `[items] bool`, items that are also ranked among themselves.
      cuts: cut-offs, ascending.
      batch: most users per block; large catalogues have smaller blocks.
      advance: is told the number of users of each finished block.

    Raises:
      InputError: vectors of a wrong shape or not finite, or targets among the training items.
    """
    table = _Table(_checked(scorer.item_vectors, "item_vectors", len(cold)), cold)
    step = min(batch, max(_FEW_USERS, BLOCK_SCORES // len(cold)))
    lengths = np.diff(targets.splits)
    # Sort users by number of targets, so that the lists of a block are no longer than needed.
    order = np.argsort(-lengths, kind="stable")
    place = np.repeat(targets.splits[order] - _before(lengths[order]), lengths[order])
    place += np.arange(len(place))
    stops = np.cumsum(lengths[order])

    def start(first: int, last: int):
        """Starts ranking a block; returns positions of its users and targets, and the future."""
        chosen, count = order[first:last], lengths[order[first:last]]
        here = place[stops[first] - count[0] : stops[last - 1]]
        vectors = _checked(scorer.user_vectors(users[chosen]), "user_vectors", len(chosen))
        seen = masked[users[chosen]]
        positions = np.arange(len(chosen))
        ranked = pool.submit(
            table.rank,
            vectors,
            (np.repeat(positions, np.diff(seen.indptr)), seen.indices),
            (np.repeat(positions, count), ranks.item[here]),
            cuts[-1],
            cuts[-1] + int(count[0]),
        )
        return chosen, here, ranked

    def finish(chosen: np.ndarray, here: np.ndarray, ranked: Future) -> None:
        score, (warm, cold), lists = ranked.result()
        ranks.set_scores(users, here, score)
        ranks.greater[here], ranks.equal[here] = warm + cold
        ranks.greater_cold[here], ranks.equal_cold[here] = cold
        ranks.add_lists(chosen, lists)
        advance(len(chosen))

    # Two blocks at a time: the serial parts of one overlap with the other.
    with ThreadPoolExecutor(2) as pool:
        running = deque()
        for block in _blocks(lengths[order], cuts[-1], step):
            running.append(start(*block))
            if len(running) == 2:
                finish(*running.popleft())
        while running:
            finish(*running.popleft())
    _raise_equal(ranks, cold)


class _Table:
    """The catalogue, divided into two segments, warm and cold."""

    def __init__(self, item_vectors: tf.Tensor, cold: np.ndarray):
        self._cold = cold
        parts = [np.flatnonzero(part).astype(np.int32) for part in (~cold, cold)]
        self._place = np.empty(len(cold), np.int32)
        for rows in parts:
            self._place[rows] = np.arange(len(rows))
        self._segments = {
            kind: Segment(item_vectors, rows) for kind, rows in enumerate(parts) if len(rows)
        }

    def rank(self, vectors, seen, targets, longest: int, depth: int):
        """Ranks a block of users.

        Args:
          vectors: `[B, D]` float32 tensor.
          seen: positions in the block `[P]` and item rows `[P]` of the masked candidates.
          targets: positions in the block `[T]` and item rows `[T]`.
          longest: length of the lists.
          depth: number of best candidates among which ranks are counted.

        Returns:
          The targets' scores `[T]`; counts `[2, 2, T] int64` (warm or cold candidates; greater or
          equal scores); and lists `[B, longest]` of item rows.
        """
        user, item = targets
        score, counts = np.empty(len(item), np.float32), np.zeros((2, 2, len(item)), np.int64)
        best: dict[int, list] = {}
        hidden = {}
        for kind, segment in self._segments.items():
            hidden[kind] = self._pairs(seen[0], seen[1], self._cold[seen[1]] == kind)
            mine = self._cold[item] == kind
            *best[kind], score[mine] = segment.best(
                vectors, hidden[kind], self._pairs(user, item, mine), depth
            )
        for kind, segment in self._segments.items():
            listed = best[kind][0][user]
            equal = listed == score[:, None]
            greater = np.count_nonzero(listed > score[:, None], 1)
            counts[kind] = greater, np.count_nonzero(equal, 1)
            level = np.flatnonzero(equal[:, -1] & (greater < longest))
            if len(level):
                position = user[level].astype(np.int32)
                counts[kind, 1, level] = segment.count_equal(
                    vectors, hidden[kind], position, score[level]
                )
        return score, counts, self._lists(best, longest)

    def _pairs(self, user, item, chosen) -> np.ndarray:
        """`[P, 2] int32` (position in the block, position in the segment)."""
        return np.stack([user[chosen], self._place[item[chosen]]], 1).astype(np.int32)

    def _lists(self, best: dict, longest: int) -> np.ndarray:
        """The best items of both segments, ties by lower row; -1 if no candidate is left."""
        scores = np.concatenate([values[:, :longest] for values, _ in best.values()], 1)
        rows = [self._segments[kind].rows[p[:, :longest]] for kind, (_, p) in best.items()]
        rows = np.where(scores > -np.inf, np.concatenate(rows, 1), -1)
        if len(best) > 1:
            # Both lists are sorted, which a stable sort by one key makes use of.
            order = np.argsort(-scores, axis=1, kind="stable")
            descending = np.take_along_axis(scores, order, axis=1)
            ties = (descending[:, 1:] == descending[:, :-1]) & (descending[:, 1:] > -np.inf)
            tied = np.flatnonzero(ties.any(1))
            order[tied] = np.lexsort((rows[tied], -scores[tied]))
            rows = np.take_along_axis(rows, order, axis=1)[:, :longest]
        return np.pad(rows, [(0, 0), (0, longest - rows.shape[1])], constant_values=-1)


def _before(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum(lengths) - lengths


def _blocks(lengths: np.ndarray, longest: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of users, sorted by descending number of targets, that fit into memory together."""
    start = 0
    while start < len(lengths):
        most = int(lengths[start])
        size = max(1, min(step, _COMPARED // max(1, most * (longest + most))))
        yield start, min(start + size, len(lengths))
        start += size


def _raise_equal(ranks: Ranks, cold: np.ndarray) -> None:
    """Sets the ties of targets beyond all cut-offs to the user's targets with the same score."""
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
    # The sum is not finite if any number is not, and it is cheap.
    if not np.isfinite(tf.reduce_sum(vectors)):
        wrong = np.argwhere(~np.isfinite(vectors.numpy()))
        if len(wrong):
            row, column = wrong[0]
            raise InputError(
                f"evaluate: the scorer's {name} must be finite, but {len(wrong)} numbers are not. "
                f"Received: {vectors[row, column].numpy()} in row {row}"
            )
    return vectors
