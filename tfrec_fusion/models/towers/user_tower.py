"""Base class of the user towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tfrec_fusion._compat import keras, tf


class UserTower(keras.layers.Layer):
    """Computes user vectors for the score of a `TwoTower`.

    A subclass implements `call(users, training=None)` and adds its constructor's arguments to
    `get_config`. The vector depends only on the user, so the score stays one dot product, in
    evaluation and in an export. The attributes below declare what the tower reads and supports.

    Args:
      dim: size of the vector; set by the model.
      n_users, n_items: numbers of users and items; set by the model.

    Attributes:
      reads_history: whether it reads the history; training on pairs then needs a history.
      reads_user_ids: whether it reads user rows; the model then works only for training users.
      subtracts_self: whether it implements `self_scores`. Without it, the tower cannot be trained
        on examples that have the target in the history.
      weighs_history: whether the constructor takes `weighted`, and the tower then has
        `history_weights` `[n_items]`, set by a spectral initialisation.
      encodes_positions: whether it implements `positions`, see `SequenceTower`; it can then be
        trained on `examples="sequence"`.
      interests: number of vectors of a user. Above 1 the score is the largest of their dot
        products, and the output is `[B, interests, dim]`.

    Input: a dict of B users and the H items of their histories, float32 except for rows:

      - `user` `[B]` int32 user rows, -1 unknown;
      - `history_vector` `[H, dim]`, the items' fused vectors, changed by the declared features of
        their events;
      - `history_item` `[H]` int32, the items' rows;
      - `history_row` `[H]` int32 ascending, the position of each item's user in the batch; oldest
        items first for each user;
      - `history_age` `[H]` days before the scoring time;
      - `history_size` `[B, 2]`, see `history_size`.
    Output: `[B, dim]` float, or `[B, interests, dim]` if `interests` is above 1.

    Example:
      >>> class Latest(UserTower):
      ...     def call(self, users, training=None):
      ...         rows, n_users = users["history_row"], tf.size(users["user"])
      ...         place = tf.range(tf.size(rows))
      ...         last = tf.gather(tf.math.unsorted_segment_max(place, rows, n_users), rows)
      ...         kept = users["history_vector"] * tf.cast(place == last, tf.float32)[:, None]
      ...         return tf.math.unsorted_segment_sum(kept, rows, n_users)
    """

    subtracts_self: ClassVar[bool] = False
    weighs_history: ClassVar[bool] = False
    encodes_positions: ClassVar[bool] = False
    reads_history: bool = True
    reads_user_ids: bool = False
    interests: int = 1

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        **kwargs,
    ):
        # Ages stay float32 under any policy.
        super().__init__(**({"dtype": "float32"} | kwargs))
        self.dim, self.n_users, self.n_items = dim, n_users, n_items

    def call(self, users: Mapping[str, tf.Tensor], training=None):
        raise NotImplementedError

    def self_scores(self, fused: tf.Tensor, users: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns each history item's exact contribution to its own score `u . v`, `[H]` float32.

        Args:
          fused: `[N, dim]` float, the fused vectors of all items.
          users: as for `call`, but without sizes, and with vectors only if features of the events
            make them differ from the fused ones.
        """
        raise NotImplementedError

    def get_config(self):
        sizes = {"dim": self.dim, "n_users": self.n_users, "n_items": self.n_items}
        return super().get_config() | sizes
