"""The ranking of a batch of requests, before caps and pins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.retrieval.top_k import padded
from tfrec_fusion.serving.restriction import Restriction
from tfrec_fusion.serving.stored_items import StoredItems


class Ranking:
    """What may come back to each of B requests, and the best of it; lives inside one graph.

    Where every request of the batch brings a list to choose from, only the listed items are
    scored; else all are.

    Args:
      items: N item vectors.
      users: `[B, D]`.
      masked: `[P]` int64 codes of what must not come back, in any order. The code of an item for a
        request is position * N + row.
      included: `[Q]` int64 distinct codes of the lists to choose from.
      given: `[B]` bool, whether the request brings such a list.
      restrictions: what else restricts the requests.
      bias: `[N]` float32 to add to all scores, -inf for what nobody gets; or None.
    """

    def __init__(
        self,
        items: StoredItems,
        users: tf.Tensor,
        masked: tf.Tensor,
        included: tf.Tensor,
        given: tf.Tensor,
        restrictions: Sequence[Restriction] = (),
        bias: tf.Variable | None = None,
    ):
        self.items, self.users, self.bias = items, users, bias
        self.batch = tf.shape(users)[0]
        self._masked, self._included = masked, tf.sort(included)
        self._only_listed = tf.reduce_all(given) & (self.batch > 0)
        self._given = given
        self._listed = Restriction(tf.reduce_any(given), self._is_listed, self._are_listed)
        self._restrictions = [*restrictions]

    def allows(self, rows) -> tf.Tensor:
        """Whether rows `[B, M]`, each from 0 to N - 1, may come back; bool. Ignores the bias."""
        allowed = Restriction.all_of([self._listed, *self._restrictions], self.batch).of(rows)
        return allowed & ~_contains(tf.sort(self._masked), self._codes(rows))

    def best(self, k, taken=None, more: Sequence[Restriction] = ()) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best of what may come back, best first; equal scores keep the catalogue's order.

        Args:
          k: int scalar, 0 or more.
          taken: rows `[B, T]` int32 that must not come back either; -1 is none.
          more: further restrictions.

        Returns:
          Scores `[B, k]` and rows `[B, k]` int32; the lowest finite float32 and -1 where nothing
          is left.
        """
        masked = self._masked
        if taken is not None:
            codes = tf.boolean_mask(self._codes(taken), taken >= 0)
            masked = tf.concat([masked, codes], 0)
        restrictions = [*self._restrictions, *more]
        return tf.cond(
            self._only_listed,
            lambda: self._best_of_listed(k, masked, restrictions),
            lambda: self._best_of_all(k, masked, restrictions),
        )

    def _best_of_all(self, k, masked, restrictions):
        pairs = self._pairs(masked)
        allowed = Restriction.all_of([self._listed, *restrictions], self.batch)

        def best(dense):
            return self.items.best(self.users, k, pairs, self.bias, dense)

        shape = [self.batch, self.items.count]
        return tf.cond(
            allowed.used,
            lambda: best(tf.broadcast_to(allowed.dense(), shape)),
            lambda: best(None),
        )

    def _best_of_listed(self, k, masked, restrictions):
        pairs = self._pairs(self._included)
        rows = tf.RaggedTensor.from_value_rowids(
            pairs[:, 1], pairs[:, 0], self.batch, validate=False
        )
        rows = rows.to_tensor(-1)
        known = tf.maximum(rows, 0)
        scores = tf.einsum("bd,bmd->bm", self.users, self.items.gather(known))
        if self.bias is not None:
            scores += tf.gather(self.bias, known)
        allowed = Restriction.all_of(restrictions, self.batch).of(known)
        allowed &= (rows >= 0) & ~_contains(tf.sort(masked), self._codes(known))
        scores = tf.where(allowed, scores, -np.inf)
        best, places = tf.math.top_k(scores, tf.minimum(k, tf.shape(rows)[1]))
        return padded(best, tf.gather(rows, places, batch_dims=1), k)

    def _is_listed(self):
        listed = tf.tile(~self._given[:, None], [1, self.items.count])
        pairs = self._pairs(self._included)
        return tf.tensor_scatter_nd_update(listed, pairs, tf.ones(tf.shape(pairs)[:1], tf.bool))

    def _are_listed(self, rows):
        return _contains(self._included, self._codes(rows)) | ~self._given[:, None]

    def _codes(self, rows):
        first = tf.range(tf.cast(self.batch, tf.int64))[:, None] * self.items.count
        return first + tf.cast(rows, tf.int64)

    def _pairs(self, codes):
        return tf.cast(tf.stack([codes // self.items.count, codes % self.items.count], 1), tf.int32)


def _contains(codes, asked) -> tf.Tensor:
    """Whether each of `asked`, of any shape, is one of the sorted `codes`."""
    codes = tf.concat([codes, [tf.int64.max]], 0)
    flat = tf.reshape(asked, [-1])
    # Unlike `tf.searchsorted` it takes no values at all.
    places = tf.raw_ops.LowerBound(sorted_inputs=codes[None], values=flat[None])[0]
    found = tf.gather(codes, places) == flat
    return tf.reshape(found, tf.shape(asked))
