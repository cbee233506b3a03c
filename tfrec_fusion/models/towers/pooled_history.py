"""User tower from history pools, from a user id, or from both."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import HistoryPooling, IdEmbedding, PoolAverage
from tfrec_fusion.models.towers.user_tower import UserTower

READS = ("history", "id", "both")


@keras.utils.register_keras_serializable("tfrec_fusion")
class PooledHistory(UserTower):
    """Computes user vectors by a linear map of history pools plus an embedding of the user id.

    The map is `W [recent pool, full pool, size, recency] + b`. W is initialised to the mean of the
    two pools of `HistoryPooling`.

    Args:
      dim, n_users, n_items: see `UserTower`.
      reads: what the tower reads: "history", "id" or "both".
      decay_days: time constant of the recent pool in days.
      linear: whether to apply W; if False, the vector is the mean of the pools.
      id_dropout: probability that training hides a user's id.
      weighted: whether to weight history items by `history_weights` `[n_items]`, a non-trainable
        weight initialised to 1.

    Input: see `UserTower`.
    Output: `[B, dim]` float32.

    Raises:
      ValueError: `reads` is invalid.
    """

    subtracts_self = True
    weighs_history = True

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        reads: str = "history",
        decay_days: float = 30.0,
        linear: bool = True,
        id_dropout: float = 0.0,
        weighted: bool | None = None,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, **kwargs)
        if reads not in READS:
            raise ValueError(f"reads must be one of {', '.join(READS)}. Received: {reads!r}")
        self.options = {
            "reads": reads,
            "decay_days": decay_days,
            "linear": linear,
            "id_dropout": id_dropout,
            "weighted": weighted,
        }
        self.reads_history = reads != "id"
        self.reads_user_ids = reads != "history"
        self.linear, self.weighted = linear, bool(weighted)

    def build(self, input_shape):
        if self.reads_history:
            self.pooling = HistoryPooling(self.options["decay_days"], name="history")
            if self.linear:
                self.to_user = keras.layers.Dense(
                    self.dim, kernel_initializer=PoolAverage(), dtype="float32", name="to_user"
                )
        if self.reads_user_ids:
            self.ids = IdEmbedding(
                self.n_users, self.dim, self.options["id_dropout"], name="user_id"
            )
        if self.weighted:
            self.history_weights = self.add_weight(
                "history_weights", (self.n_items,), initializer="ones", trainable=False
            )
        super().build(input_shape)

    def call(self, users, training=None):
        user = 0.0
        if self.reads_history:
            pools = self.pooling(
                users["history_vector"],
                users["history_row"],
                users["history_age"],
                tf.shape(users["user"])[0],
                self._weights(users["history_item"]),
            )[:, :-2]  # without the size and the recency
            if self.linear:
                size = tf.cast(users["history_size"], tf.float32)
                user = self.to_user(tf.concat([pools, size], 1))
            else:
                user = tf.add_n(tf.split(pools, 2, axis=1)) / 2
        if self.reads_user_ids:
            user += tf.cast(self.ids(users["user"], training=training), tf.float32)
        return user

    def self_scores(self, fused, users: Mapping[str, tf.Tensor]):
        """Returns each history item's contribution to its own score; see `UserTower`.

        The vector is a sum over the history, so item i contributes
        `sum_p c_p (W_p v_i).v_i` to its own score, over the pools p, with c_p the item's weight in
        the pool and W_p the pool's block of the map. A model trained on targets that are in the
        history would learn only this useless self-similarity.
        """
        item = users["history_item"]
        fused = tf.cast(fused, tf.float32)
        shares = self.pooling.shares(
            users["history_row"],
            users["history_age"],
            tf.shape(users["user"])[0],
            self._weights(item),
        )
        past = users.get("history_vector")
        if past is not None:
            past, own = tf.cast(past, tf.float32), tf.gather(fused, item)
            pools = [past / 2] * 2
            if self.linear:
                dim = fused.shape[-1]
                kernel = tf.reshape(self.to_user.kernel[: 2 * dim], [2, dim, dim])
                pools = [past @ kernel[p] for p in (0, 1)]
            products = tf.stack([tf.reduce_sum(pool * own, 1) for pool in pools], 1)
            return tf.reduce_sum(shares * products, 1)
        if self.linear:
            dim = fused.shape[-1]
            kernel = tf.reshape(self.to_user.kernel[: 2 * dim], [2, dim, dim])
            products = tf.stack([tf.reduce_sum((fused @ kernel[p]) * fused, 1) for p in (0, 1)], 1)
        else:
            products = tf.reduce_sum(tf.square(fused), 1, keepdims=True) / 2
        return tf.reduce_sum(shares * tf.gather(products, item), 1)

    def _weights(self, items) -> tf.Tensor | None:
        """Returns the weight of each history item, `[H]` float32; None if all are 1."""
        if not self.weighted:
            return None
        weights = tf.gather(self.history_weights, tf.maximum(items, 0))
        return tf.cast(weights, tf.float32)

    def get_config(self):
        return super().get_config() | self.options
