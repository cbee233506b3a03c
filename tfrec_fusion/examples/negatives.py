"""Samples negatives: items that a user could have taken at a time but never takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.retrieved import Retrieved
from tfrec_fusion.times import DAY

_ROUNDS = 6


class Negatives:
    """Samples items that a user has in none of the events, matched to a time.

    With probability 1/2 each, a draw is the item of a random event within `window_days / 2` of the
    time (of any event, without times), or uniform over the items seen by that time. A draw that the
    user has is repeated; after six rounds the remaining ones are drawn uniformly from the items
    that the user lacks.

    With `retrieved`, a draw is instead, with probability `hard_share`, one of the items of the user
    there as of the last cut before the time, unless it is first seen after the time or the user has
    it, or there are none.

    Args:
      events: first positive events of known users.
      window_days: width of the window in days.
      retrieved: the best items of users by a model; None for none.
      hard_share: probability in [0, 1] of a draw from them.

    Raises:
      InputError: a user has every item.
    """

    def __init__(
        self,
        events: Interactions,
        window_days: float,
        retrieved: Retrieved | None = None,
        hard_share: float = 0.5,
    ):
        n_items = len(events.catalogue)
        keys = np.unique(events.user * np.int64(n_items) + events.item)
        owners, owned = np.divmod(keys, n_items)
        counts = np.bincount(owners, minlength=len(events.users))
        if counts.max() >= n_items:
            user = events.users.ids[int(np.argmax(counts))]
            raise InputError(
                f"negatives: user {user!r} has every item of the catalogue, so there is no "
                "negative; leave the user out"
            )
        splits = np.concatenate([[0], np.cumsum(counts)])
        # The number of missing items before a user's i-th owned item is its row minus i.
        rank = np.arange(len(keys)) - splits[owners]
        times = events.timestamp
        order = np.arange(len(events)) if times is None else np.argsort(times, kind="stable")
        pool = events.item[order]
        first = np.sort(np.unique(pool, return_index=True)[1])
        with tf.device("CPU:0"):
            self._keys = tf.constant(keys)
            self._missing_before = tf.constant(owners * n_items + owned - rank)
            self._starts = tf.constant(splits[:-1])
            self._missing = tf.constant(n_items - counts)
            self._pool = tf.constant(pool)
            self._seen = tf.constant(pool[first])
            self._times = None if times is None else tf.constant(times[order])
            self._first_times = None if times is None else tf.constant(times[order][first])
            self._retrieved: tf.Tensor | None = None
            if retrieved is not None and retrieved.items.size:
                self._retrieved, self._rows = map(tf.constant, (retrieved.items, retrieved.rows))
                self._cuts = None if retrieved.cuts is None else tf.constant(retrieved.cuts)
                since = np.full(n_items, np.inf)
                since[pool[first]] = -np.inf if times is None else times[order][first]
                self._since = tf.constant(since)
        self._n_items, self._hard_share = n_items, hard_share
        self._reach = window_days * DAY / 2

    def __call__(self, user: tf.Tensor, timestamp: Any, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Samples items `[B, count]` int32 for `user` `[B]` at `timestamp` `[B]` float64.

        `timestamp` is None if the events have no times; `seed` is `[2]` int64.
        """
        user = tf.cast(user, tf.int64)[:, None]
        if self._times is None:
            start, end = tf.zeros_like(user), tf.zeros_like(user) + len(self._pool)
            seen = tf.zeros_like(user) + len(self._seen)
        else:
            timestamp = timestamp[:, None]
            start = _rank(self._times, timestamp - self._reach, "left")
            end = _rank(self._times, timestamp + self._reach, "right")
            seen = _rank(self._first_times, timestamp, "right")
        shape = tf.stack([tf.shape(user)[0], count])
        seeds = tf.random.experimental.stateless_split(seed, _ROUNDS + 1)
        # All rounds together: one after the other, they take half a second to trace.
        uniform = [
            tf.random.stateless_uniform(tf.concat([[3], shape], 0), one, dtype=tf.float64)
            for one in tf.unstack(seeds[:_ROUNDS])
        ]
        of_time, of_all, coin = tf.unstack(tf.stack(uniform, 1))
        # A window after the last event is empty and starts behind the pool.
        place = tf.minimum(start + _below(of_time, end - start), len(self._pool) - 1)
        recent = tf.gather(self._pool, place)
        spread = tf.gather(self._seen, _below(of_all, seen))
        drawn = tf.where((coin < 0.5) & (end > start) | (seen == 0), recent, spread)
        has = self._has(user, drawn)
        number = _below(
            tf.random.stateless_uniform(shape, seeds[_ROUNDS], dtype=tf.float64),
            tf.gather(self._missing, user),
        )
        owned_before = _rank(self._missing_before, user * self._n_items + number, "right")
        items = tf.cast(number + owned_before - tf.gather(self._starts, user), tf.int32)
        for one, bad in reversed(list(zip(tf.unstack(drawn), tf.unstack(has), strict=True))):
            items = tf.where(bad, items, one)
        if self._retrieved is None:
            return items
        return self._with_hard(self._retrieved, items, user, timestamp, seed)

    def _with_hard(self, retrieved, items, user, timestamp, seed):
        """Replaces a share of the items by those that are retrieved for the users."""
        # Other numbers than those of the other draws, which stay what they are without these.
        seed = tf.random.experimental.stateless_fold_in(seed, 1)
        shape = tf.concat([[2], tf.shape(items)], 0)
        place, coin = tf.unstack(tf.random.stateless_uniform(shape, seed, dtype=tf.float64))
        cut = tf.zeros_like(user)
        if self._cuts is not None and timestamp is not None:
            cut = _rank(self._cuts, timestamp, "right") - 1
        row = tf.gather_nd(self._rows, tf.concat([tf.maximum(cut, 0), user], 1))[:, None]
        row = tf.where(cut < 0, -1, row)
        column = _below(place, retrieved.shape[1])
        places = tf.stack(
            [tf.broadcast_to(tf.maximum(row, 0), tf.shape(items)), tf.cast(column, tf.int32)], 2
        )
        drawn = tf.gather_nd(retrieved, places)
        known = tf.maximum(drawn, 0)
        usable = (row >= 0) & (drawn >= 0) & (coin < self._hard_share) & ~self._has(user, known)
        at = 0.0 if timestamp is None else timestamp
        return tf.where(usable & (tf.gather(self._since, known) <= at), drawn, items)

    def _has(self, user: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        key = user * self._n_items + tf.cast(items, tf.int64)
        place = tf.minimum(_rank(self._keys, key, "left"), len(self._keys) - 1)
        return tf.gather(self._keys, place) == key


def _rank(values: tf.Tensor, at: tf.Tensor, side: str) -> tf.Tensor:
    """`searchsorted` for a query of any shape, int64."""
    flat = tf.searchsorted(values, tf.reshape(at, [-1]), side, tf.int64)
    return tf.reshape(flat, tf.shape(at))


def _below(uniform: tf.Tensor, bound: tf.Tensor) -> tf.Tensor:
    """Uniform integers in `[0, bound)`, int64."""
    scaled = tf.cast(uniform * tf.cast(bound, tf.float64), tf.int64)
    return tf.maximum(tf.minimum(scaled, bound - 1), 0)
