"""Rates of labels of users and items in examples, without an example's own label."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.label_rates import LabelRates

_FOLDS = 5


class RatesAsOf:
    """Rates of users and items as of cuts, or without times of other events.

    Without times, and where the examples are among the events, a row sees the events of the other
    four of five random folds of pairs: in the rate without the row alone its own label could be
    read, as that is then lower for a positive.

    Args:
      rates: those of the known events.
      cuts: ascending unix times `[n_cuts]`; None without times.
      of_others: whether the examples are among the events.
    """

    def __init__(self, rates: LabelRates, cuts: np.ndarray | None, of_others: bool):
        self._dated, self._of_others = cuts is not None, of_others
        with tf.device("CPU:0"):
            if cuts is not None:
                self._make_dated(rates, cuts)
            elif of_others:
                fold = _fold(tf.constant(rates.user), tf.constant(rates.item)).numpy()
                others = [fold != one for one in range(_FOLDS)]
                self._users = tf.constant(np.stack([rates.of_users(one) for one in others]))
                self._items = tf.constant(np.stack([rates.of_items(one) for one in others]))
            else:
                self._users = tf.constant(rates.of_users()[None])
                self._items = tf.constant(rates.of_items()[None])

    def __call__(self, user, own, item, cut) -> tf.Tensor:
        """Computes the rates of the user and of the items.

        Args:
          user, own, cut: rows of users, the events' own items and the cuts, `[B]` int32.
          item: `[B]` or `[B, N]` int32.

        Returns:
          `[B, 4]` or `[B, N, 4]` float32.
        """
        if self._dated:
            place, users = cut, self._users_at(user, cut)
        else:
            place = _fold(user, own) if self._of_others else tf.zeros_like(user)
            users = tf.gather_nd(self._users, tf.stack([place, user], -1))
        if len(item.shape) == 2:
            place = tf.broadcast_to(place[:, None], tf.shape(item))
            users = tf.broadcast_to(
                users[:, None], tf.concat([tf.shape(item), tf.shape(users)[-1:]], 0)
            )
        items = tf.gather_nd(self._items, tf.stack([place, item], -1))
        return tf.concat([users, tf.cast(items, tf.float32)], -1)

    def _make_dated(self, rates: LabelRates, cuts: np.ndarray) -> None:
        times, user, positive = rates.event_times, rates.user, rates.positive
        counts = np.zeros((2, len(cuts) + 1, rates.n_items))
        # An event is before a cut from the first one after it on.
        after = np.searchsorted(cuts, times, side="right")
        np.add.at(counts[0], (after, rates.item), positive)
        np.add.at(counts[1], (after, rates.item), 1.0)
        positives, counts = counts.cumsum(1)[:, :-1]
        self._items = tf.cast(rates.numbers(positives, counts), tf.float16)
        # Of each user and moment in one ascending key, as for histories.
        moments = np.unique(times)
        order = np.lexsort([times, user])
        rank = np.searchsorted(moments, times)
        self._n_moments = len(moments) + 1
        self._keys = tf.constant((user.astype(np.int64) * self._n_moments + rank)[order])
        self._cut_rank = tf.constant(np.searchsorted(moments, cuts))
        per_user = np.bincount(user, minlength=rates.n_users)
        self._starts = tf.constant(np.cumsum(per_user) - per_user)
        self._summed = tf.constant(np.concatenate([[0.0], np.cumsum(positive[order])]))
        self._rates = rates

    def _users_at(self, user, cut) -> tf.Tensor:
        key = tf.cast(user, tf.int64) * self._n_moments + tf.gather(self._cut_rank, cut)
        end = tf.searchsorted(self._keys, key, out_type=tf.int64)
        start = tf.gather(self._starts, user)
        positives = tf.gather(self._summed, end) - tf.gather(self._summed, start)
        return self._rates.numbers(positives, end - start)


def _fold(user: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
    """A fold from 0 to 4 of pairs `[n]` int32, by the upper bits of a multiplicative hash."""
    mixed = tf.cast(user, tf.int64) * 2654435761 + tf.cast(item, tf.int64) * 2246822519
    return tf.cast(mixed // (1 << 15) % _FOLDS, tf.int32)
