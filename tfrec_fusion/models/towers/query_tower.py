"""Query tower: vectors of queries in the space of a model's item vectors."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf


@keras.utils.register_keras_serializable("tfrec_fusion")
class QueryTower(keras.layers.Layer):
    """Maps a query's vector, and the user's, to a vector whose products with items are scores.

    With q the query's vector and u the user's:

        W q + W2 relu(W1 q) + (a.q + c) u

    so a query is compared with items as a user is, and its own share of u says how much this user's
    taste matters to it. W2, a and c start at 0.

    Args:
      dim: columns of the item vectors, and of the user's.
      hidden: units of W1; 0 leaves this term out.
      reads_users: whether the user takes part.

    Input: a dict of `query` `[B, dims]`, `user` `[B, dim]` and `known` `[B]` bool, whether the row
      has a user, all else float.
    Output: `[B, dim]` float32.

    Example:
      >>> tower = QueryTower(3)
      >>> query, known = tf.ones([2, 5]), tf.constant([True, False])
      >>> tower({"query": query, "user": tf.ones([2, 3]), "known": known}).shape.as_list()
      [2, 3]
    """

    def __init__(self, dim: int, hidden: int = 0, reads_users: bool = True, **kwargs):
        super().__init__(**({"dtype": "float32"} | kwargs))
        if dim < 1 or hidden < 0:
            raise ValueError(
                f"dim must be at least 1 and hidden at least 0. Received: {dim} and {hidden}"
            )
        self.dim, self.hidden, self.reads_users = dim, hidden, reads_users
        self.to_items = keras.layers.Dense(dim, use_bias=False, dtype="float32", name="to_items")
        if hidden:
            self.inner = keras.layers.Dense(hidden, "relu", dtype="float32", name="inner")
            self.outer = keras.layers.Dense(
                dim, kernel_initializer="zeros", dtype="float32", name="outer"
            )
        if reads_users:
            self.share = keras.layers.Dense(
                1, kernel_initializer="zeros", dtype="float32", name="share"
            )

    def call(self, inputs: Mapping[str, tf.Tensor], training=None):
        query = tf.cast(inputs["query"], tf.float32)
        found = self.to_items(query)
        if self.hidden:
            found += self.outer(self.inner(query))
        if self.reads_users:
            own = self.share(query) * tf.cast(inputs["user"], tf.float32)
            found += tf.where(inputs["known"][:, None], own, 0.0)
        return found

    def get_config(self):
        return super().get_config() | {
            "dim": self.dim,
            "hidden": self.hidden,
            "reads_users": self.reads_users,
        }
