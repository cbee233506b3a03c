"""What the head of a `Stack` reads of each candidate, in the graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.item_trend import ItemTrend, item_numbers
from tfrec_fusion.features.state import State
from tfrec_fusion.pipelines import served_terms

_LONGEST = 3650.0  # days since the last event, also of a user without one


class StackGraph(tf.Module):
    """Computes the candidates of users and the head's inputs for them.

    The inputs of a candidate are, for each member, the z-score of its score, the logarithm of its
    rank and its reciprocal rank among the user's candidates (see `Blend`); the sum of the
    reciprocal ranks; the numbers of the item as of the state (`item_inputs`); and the length of the
    user's history and the days since its last event, on a log scale.

    Args:
      items: the numbers `[N, F]` of the items.
      candidates: number of candidates of a user.
      k: constant of the reciprocal ranks.
    """

    def __init__(self, items: np.ndarray, candidates: int, k: float):
        super().__init__(name="stack")
        self.items = tf.Variable(items, trainable=False, dtype=tf.float32, name="item_inputs")
        self._count, self._k = min(candidates, len(items)), k

    def width(self, members: int) -> int:
        """Returns the number of inputs of a candidate."""
        return 3 * members + 3 + self.items.shape[1]

    def __call__(
        self, scores: Mapping[str, tf.Tensor], candidates, positions, ages
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the inputs of users with C candidates each.

        Args:
          scores: member -> scores `[B, N + 1]`, the last column of an unknown item.
          candidates: `[B, N]` bool: the items that can be recommended.
          positions: `[P]` int32: the position in `[B]` of the user of each event of the histories.
          ages: `[P]` float32 days of the events.

        Returns:
          The sums of the reciprocal ranks `[B, N + 1]`, the items of the candidates `[B, C]` int32,
          and the inputs `[B, C, n_inputs]`, the last two in descending order of the sums.
        """
        inverse = {
            name: served_terms.reciprocal_ranks(one, candidates, self._k)
            for name, one in scores.items()
        }
        sums = tf.add_n(list(inverse.values()))
        rows = tf.math.top_k(
            tf.where(candidates, sums[:, :-1], sums[:, :-1] - 2.0 * len(scores)), self._count
        ).indices
        found = []
        for name, one in scores.items():
            z = tf.gather(served_terms.z_scores(one, candidates), rows, batch_dims=1)
            high = tf.gather(inverse[name], rows, batch_dims=1)
            found += [z, tf.math.log(tf.maximum(1.0 / high - self._k, 1.0)), self._k * high]
        found.append(self._k * tf.gather(sums, rows, batch_dims=1))
        users = [tf.broadcast_to(one, tf.shape(rows)) for one in _of_users(rows, positions, ages)]
        inputs = tf.stack([*found, *users], 2)
        return sums, rows, tf.concat([inputs, tf.gather(self.items, rows)], 2)


def _of_users(rows, positions, ages) -> list[tf.Tensor]:
    batch = tf.shape(rows)[0]
    length = tf.math.unsorted_segment_sum(tf.ones_like(ages), positions, batch)
    latest = tf.math.unsorted_segment_min(tf.minimum(ages, _LONGEST), positions, batch)
    latest = tf.clip_by_value(latest, 0.0, _LONGEST)
    return [tf.math.log1p(one)[:, None] for one in (length, latest)]


def item_inputs(state: State, numbers: tuple[str, ...]) -> np.ndarray:
    """Returns what a head reads of the items: `[n_items, F]` float32, NaN for missing numbers.

    With times these are the features of `ItemTrend`, else the log share of the events and whether
    the item is unseen; then the columns `numbers` of the catalogue.
    """
    if state.time is not None:
        return ItemTrend(state.events, numbers).at(state.time)[0]
    counts = state.events.item_counts()
    share = np.log((counts + 1) / (counts.sum() + len(counts)) * len(counts))
    columns = [share[:, None], (counts == 0)[:, None], item_numbers(state.catalogue, numbers)]
    return np.concatenate(columns, 1).astype(np.float32)


def with_logits(sums, rows, logits) -> tf.Tensor:
    """Scores `[B, N + 1]`: the logits of the candidates, and lower ones in order of the sums."""
    lowest = tf.reduce_min(logits, 1, keepdims=True) - 1.0
    # Of known items alone: what is last, an unknown item, must move no other.
    scores = lowest + sums - tf.reduce_max(sums[:, :-1], 1, keepdims=True)
    places = tf.stack(
        [tf.repeat(tf.range(tf.shape(rows)[0]), tf.shape(rows)[1]), tf.reshape(rows, [-1])], 1
    )
    return tf.tensor_scatter_nd_update(scores, places, tf.reshape(logits, [-1]))
