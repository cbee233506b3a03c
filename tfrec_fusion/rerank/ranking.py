"""Ranks the items for a batch of requests, before caps and pins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.rerank.restriction import Restriction
from tfrec_fusion.retrieval.stored_items import StoredItems
from tfrec_fusion.retrieval.top_k import padded


class Ranking:
    """The allowed and the best items of B requests, inside one graph.

    If every request of the batch has a list of items to choose from, only the listed items are
    scored, else all.

    Args:
      items: the N items, with `count`, `scores_of` and `best` as in `CatalogueServing`.
      users: `[B, D]` user vectors.
      masked: `[B, H]` int32 item rows that must not be returned, -1 for none.
      included: `[B, W]` int32 item rows of the lists to choose from, -1 for none.
      given: `[B]` bool, whether the request has such a list.
      restrictions: further restrictions of the requests.
      bias: `[N]` float32 to add to all scores, -inf for items that nobody gets; or None.
    """

    def __init__(
        self,
        items: CatalogueServing | StoredItems,
        users: tf.Tensor,
        masked: tf.Tensor,
        included: tf.Tensor,
        given: tf.Tensor,
        restrictions: Sequence[Restriction] = (),
        bias: tf.Variable | None = None,
    ):
        self.bias, self.batch = bias, tf.shape(users)[0]
        self._masked, self._included, self._given = masked, included, given
        self._only_listed = tf.reduce_all(given) & (self.batch > 0)
        self._listed = Restriction(tf.reduce_any(given), self._is_listed, self._are_listed)
        self._restrictions = [*restrictions]
        self.items, self.users = items, users
        if isinstance(items, CatalogueServing):
            self.items, self.users = items.among(users, self._allowed)

    def allows(self, rows) -> tf.Tensor:
        """`[B, M]` bool: whether the requests allow the rows, each in [0, N); ignores the bias."""
        allowed = Restriction.all_of([self._listed, *self._restrictions], self.batch).of(rows)
        return allowed & ~_contains(self._masked, rows)

    def best(self, k, taken=None, more: Sequence[Restriction] = ()) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the k best allowed items, best first; ties keep the catalogue's order.

        Args:
          k: int scalar, 0 or more.
          taken: item rows `[B, T]` int32 to exclude as well; -1 is none.
          more: further restrictions.

        Returns:
          Scores `[B, k]` and rows `[B, k]` int32, padded with the lowest finite float32 and -1.
        """
        masked = self._masked if taken is None else tf.concat([self._masked, taken], 1)
        restrictions = [*self._restrictions, *more]
        return tf.cond(
            self._only_listed,
            lambda: self._best_of_listed(k, masked, restrictions),
            lambda: self._best_of_all(k, masked, restrictions),
        )

    def _best_of_all(self, k, masked, restrictions):
        allowed = Restriction.all_of([self._listed, *restrictions], self.batch)
        shape = [self.batch, self.items.count]
        dense = tf.cond(
            allowed.used,
            lambda: tf.broadcast_to(allowed.dense(), shape),
            lambda: tf.ones([1, 1], tf.bool),
        )
        pairs = _pairs(masked)
        return self.items.best(self.users, k, pairs, self.bias, dense, allowed.used)

    def _best_of_listed(self, k, masked, restrictions):
        rows = _without(self._included, masked)
        known = tf.maximum(rows, 0)
        scores = self.items.scores_of(self.users, known)
        if self.bias is not None:
            scores += tf.gather(self.bias.read_value(), known)
        allowed = (rows >= 0) & Restriction.all_of(restrictions, self.batch).of(known)
        scores = tf.where(allowed, scores, -np.inf)
        best, places = tf.math.top_k(scores, tf.minimum(k, tf.shape(rows)[1]))
        return padded(best, tf.gather(rows, places, batch_dims=1), k)

    def _allowed(self) -> tf.Tensor:
        """`[B, N]` bool: the items that the requests allow, without those that nobody gets."""
        restriction = Restriction.all_of([self._listed, *self._restrictions], self.batch)
        allowed = tf.broadcast_to(restriction.dense(), [self.batch, self.items.count])
        if self.bias is not None:
            allowed &= self.bias > -np.inf
        pairs = _pairs(self._masked)
        return tf.tensor_scatter_nd_update(allowed, pairs, tf.zeros(tf.shape(pairs)[:1], tf.bool))

    def _is_listed(self):
        listed = tf.tile(~self._given[:, None], [1, self.items.count])
        pairs = _pairs(self._included)
        return tf.tensor_scatter_nd_update(listed, pairs, tf.ones(tf.shape(pairs)[:1], tf.bool))

    def _are_listed(self, rows):
        return _contains(self._included, rows) | ~self._given[:, None]


def without_gaps(scores, rows, k) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves the rows of -1 to the end and cuts scores and rows `[B, M]` to `[B, k]`.

    Keeps the order of the others; the padding has the lowest finite float32 as its score.
    """
    order = tf.argsort(tf.cast(rows < 0, tf.int32), stable=True)[:, :k]
    rows = tf.gather(rows, order, batch_dims=1)
    scores = tf.gather(scores, order, batch_dims=1)
    return padded(tf.where(rows < 0, -np.inf, scores), rows, k)


def _pairs(rows) -> tf.Tensor:
    """Pairs `[P, 2]` int32 (position in the batch, row) of rows `[B, W]`, without -1."""
    there = tf.where(rows >= 0)
    return tf.stack([tf.cast(there[:, 0], tf.int32), tf.gather_nd(rows, there)], 1)


def _contains(lists, rows) -> tf.Tensor:
    """`[B, M]` bool: whether the lists `[B, W]` of the requests contain their rows `[B, M]`."""
    return tf.reduce_any(rows[:, :, None] == lists[:, None, :], 2)


def _without(rows, masked) -> tf.Tensor:
    """The distinct rows of `[B, W]` that are not in `[B, H]`: ascending `[B, W + H]`, -1 for none.

    Row r has the key 2r + 1 and its mask 2r, so in sorted order a masked row follows its mask.
    """
    keys = tf.sort(tf.concat([2 * rows + 1, 2 * masked], 1), 1)
    left = tf.pad(keys[:, :-1], [[0, 0], [1, 0]], constant_values=-2)
    kept = (keys > 0) & (keys % 2 == 1) & (keys != left) & (keys - 1 != left)
    return tf.where(kept, keys // 2, -1)
