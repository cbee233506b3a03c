"""Query tower: vectors of queries in the space of a model's item vectors."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf

_SCALE = 15.0  # of the text columns at the start; logits of a cosine from -15 to 15


@keras.utils.register_keras_serializable("tfrec_fusion")
class QueryTower(keras.layers.Layer):
    """Maps a query's vector, and the user's, to a vector whose products with items are scores.

    Items have the columns [v, t], those of a recommender and the vector of the item's text, by the
    encoder of the queries. With q the query's vector and u the user's:

        [(a.q + c) u, s q + W q + W2 relu(W1 q)],    n in place of (a.q + c) u without a user

    so the text is compared by its cosine at first, and W learns which other words mean the same;
    the query's own share of u says how much this user's taste matters to it, and n is what
    everybody likes. All but s (15) and W1 start at 0. Queries say nothing of v: W would learn by
    heart which items of the training queries are bought together. If items have no text columns,

        (a.q + c) u + W q + W2 relu(W1 q)

    with a W that starts at random.

    Args:
      dim: columns of the recommender's item vectors, and of the user's.
      texts: columns of the items' text vectors, as many as those of the query; 0 for items that
        have none.
      hidden: units of W1; 0 leaves this term out.
      reads_users: whether the user takes part. Without, n is there for everybody.

    Input: a dict of `query` `[B, dims]`, `user` `[B, dim]` and `known` `[B]` bool, whether the row
      has a user, all else float.
    Output: `[B, dim + texts]` float32.

    Example:
      >>> tower = QueryTower(3, texts=5)
      >>> query, known = tf.ones([2, 5]), tf.constant([True, False])
      >>> tower({"query": query, "user": tf.ones([2, 3]), "known": known})[0].numpy().tolist()
      [0.0, 0.0, 0.0, 15.0, 15.0, 15.0, 15.0, 15.0]
    """

    def __init__(
        self, dim: int, texts: int = 0, hidden: int = 0, reads_users: bool = True, **kwargs
    ):
        super().__init__(**({"dtype": "float32"} | kwargs))
        if dim < 1 or texts < 0 or hidden < 0:
            raise ValueError(
                "dim must be at least 1, texts and hidden at least 0. "
                f"Received: {dim}, {texts} and {hidden}"
            )
        self.dim, self.texts, self.hidden, self.reads_users = dim, texts, hidden, reads_users
        self.to_items = keras.layers.Dense(
            texts or dim,
            use_bias=False,
            kernel_initializer="zeros" if texts else "glorot_uniform",
            dtype="float32",
            name="to_items",
        )
        if texts:
            start = keras.initializers.Constant(_SCALE)
            self.scale = self.add_weight("scale", (), initializer=start)
        if hidden:
            self.inner = keras.layers.Dense(hidden, "relu", dtype="float32", name="inner")
            self.outer = keras.layers.Dense(
                texts or dim, kernel_initializer="zeros", dtype="float32", name="outer"
            )
        self.nobody = self.add_weight("nobody", (dim,), initializer="zeros")
        if reads_users:
            self.share = keras.layers.Dense(
                1, kernel_initializer="zeros", dtype="float32", name="share"
            )

    def call(self, inputs: Mapping[str, tf.Tensor], training=None):
        query = tf.cast(inputs["query"], tf.float32)
        found = self.to_items(query)
        if self.hidden:
            found += self.outer(self.inner(query))
        liked = tf.zeros([tf.shape(query)[0], 1]) + self.nobody
        if self.reads_users:
            own = self.share(query) * tf.cast(inputs["user"], tf.float32)
            liked = tf.where(inputs["known"][:, None], own, liked)
        return tf.concat([liked, found + self.scale * query], 1) if self.texts else found + liked

    def get_config(self):
        return super().get_config() | {
            "dim": self.dim,
            "texts": self.texts,
            "hidden": self.hidden,
            "reads_users": self.reads_users,
        }
