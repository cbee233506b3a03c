"""An item's vectors through an MLP that users share."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FrozenVectors


@keras.utils.register_keras_serializable("tfrec_fusion")
class ContentTower(keras.layers.Layer):
    """`W_2 LeakyReLU(W_1 z + b_1) + b_2`, z an item's frozen vectors side by side.

    The mean of several items' z goes through the same map: that is a user.

    Args:
      n_items: rows of the catalogue.
      vector_dims: name -> columns of each frozen vector.
      hidden: hidden units.
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
        """Columns of z."""
        return sum(self.vector_dims.values())

    def content(self, rows) -> tuple[tf.Tensor, tf.Tensor]:
        """z `[M, width]` of item rows `[M]`, zero where there is none, and whether there is any."""
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
