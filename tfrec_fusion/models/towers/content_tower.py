"""MLP over item content, shared by items and users."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FrozenVectors


@keras.utils.register_keras_serializable("tfrec_fusion")
class ContentTower(keras.layers.Layer):
    """Maps item content by an MLP, `W_2 LeakyReLU(W_1 z + b_1) + b_2`.

    z is the concatenation of an item's frozen vectors. A user is the same map of the mean z of
    several items.

    Args:
      n_items: rows of the catalogue.
      vector_dims: name -> columns of each frozen vector.
      hidden: number of hidden units.
      dim: size of the output.

    Input: z `[M, width]` float, from `content`.
    Output: `[M, dim]` float32 (the variables' dtype, under any policy).

    Example:
      >>> tower = ContentTower(3, {"text": 8}, hidden=16, dim=4)
      >>> tower(tower.content(tf.constant([0, 2]))[0]).shape
      TensorShape([2, 4])
    """

    def __init__(
        self, n_items: int, vector_dims: Mapping[str, int], hidden: int, dim: int, **kwargs
    ):
        super().__init__(**kwargs)
        if not vector_dims:
            raise ValueError("vector_dims must name at least one vector. Received: {}")
        self.n_items, self.vector_dims = n_items, dict(vector_dims)
        self.hidden, self.dim = hidden, dim
        self.frozen = {
            name: FrozenVectors(n_items, columns, name=f"vectors_{name}", dtype=self.dtype)
            for name, columns in sorted(self.vector_dims.items())
        }
        self.first = keras.layers.Dense(
            hidden, keras.layers.LeakyReLU(0.01), name="first", dtype=self.dtype
        )
        self.second = keras.layers.Dense(dim, name="second", dtype=self.dtype)

    @property
    def width(self) -> int:
        """Number of columns of z."""
        return sum(self.vector_dims.values())

    def content(self, rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z `[M, width]` of item rows `[M]`, and a mask `[M]` of items with any vector."""
        vectors, masks = zip(*(layer(rows) for layer in self.frozen.values()), strict=True)
        return tf.concat(vectors, -1), tf.reduce_any(tf.stack(masks), 0)

    def call(self, content):
        return self.second(self.first(content))

    def get_config(self):
        return super().get_config() | {
            "n_items": self.n_items,
            "vector_dims": self.vector_dims,
            "hidden": self.hidden,
            "dim": self.dim,
        }
