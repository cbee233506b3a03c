"""Rates of labels of all users and items, to score from."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State


class StoredRates(tf.Module):
    """Looks up the rates of labels as of a state; those of an unknown row are the mean.

    Raises:
      InputError: as `State.label_rates`.
    """

    def __init__(self, state: State):
        super().__init__(name="label_rates")
        users, items = state.label_rates()
        self._users = tf.Variable(users, trainable=False, name="users")
        self._items = tf.Variable(items, trainable=False, name="items")

    def __call__(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Looks up rows of users `[B]` and items `[B, N]`: `[B, N, 4]` float32."""
        found = [
            tf.gather(table, tf.where(rows < 0, tf.shape(table)[0] - 1, rows))
            for table, rows in ((self._users, users), (self._items, items))
        ]
        shape = tf.shape(found[1])
        return tf.concat([tf.broadcast_to(found[0][:, None], shape), found[1]], -1)
