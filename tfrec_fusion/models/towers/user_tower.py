"""What every user tower has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tfrec_fusion._compat import keras, tf


class UserTower(keras.layers.Layer):
    """Makes users' vectors of what is known of them, for the score of a `TwoTower`.

    A subclass implements `call(users, training=None)` and puts the arguments of its own constructor
    into its `get_config`. The vector is a function of the user alone, so the score stays one dot
    product, in evaluation and in an export. What a tower can do beyond that it declares by the
    attributes below.

    Args:
      dim: size of the vector; a model fills in its own.
      n_users, n_items: rows of users and items; a model fills them in.

    Attributes:
      reads_history: whether the history counts; pairs without one are refused then.
      reads_user_ids: whether a user's row counts; other users than those of training are refused
        then.
      subtracts_self: whether `self_scores` says what an item of the history adds to its own score.
        A tower without it is not trained on examples that have the target in the history.
      weighs_history: whether it takes `weighted`, and then `history_weights` `[n_items]`, from a
        spectral start.

    Input: a dict of B users and the H items of their histories, float32 but for the rows:

      - `user` `[B]` int32, -1 unknown;
      - `history_vector` `[H, dim]`, the items' fused vectors, and `history_item` `[H]` int32 their
        rows;
      - `history_row` `[H]` int32, ascending position in the batch, oldest items first in each;
      - `history_age` `[H]` days before the scoring time;
      - `history_size` `[B, 2]`, see `history_size`.
    Output: `[B, dim]` float.

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
    reads_history: bool = True
    reads_user_ids: bool = False

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
        """`[H]` float32: what each item of a history adds to `u . v` of itself, exactly.

        Args:
          fused: `[N, dim]` float, the fused vectors of all items.
          users: as for `call`; vectors and sizes are not read.
        """
        raise NotImplementedError

    def get_config(self):
        sizes = {"dim": self.dim, "n_users": self.n_users, "n_items": self.n_items}
        return super().get_config() | sizes
