"""An item's id and vectors as one vector."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import (
    AdditiveFusion,
    ConcatFusion,
    FrozenVectors,
    GateFusion,
    IdEmbedding,
    SumFusion,
)

FUSIONS = {
    "sum": SumFusion,
    "concat": ConcatFusion,
    "additive": AdditiveFusion,
    "gate": GateFusion,
}


@keras.utils.register_keras_serializable("tfrec_fusion")
class ItemTower(keras.layers.Layer):
    """Fuses an item's trained id with its frozen vectors.

    Args:
      n_items: rows of the catalogue.
      dim: size of the item vector.
      vector_dims: name -> columns of each frozen vector, each projected to `dim`.
      fusion: "sum", "concat", "additive" or "gate".
      use_ids: whether items have trained ids.
      id_dropout: see `IdEmbedding`.
      initial: whether item vectors start from given ones `[n_items, dim]` (named "initial" and not
        projected); ids then start at zero and learn the difference.

    Input: `rows` int32 `[M]` (-1 unknown) and `seen` bool `[M]`: an item not seen yet has no id;
      `hidden`, names of inputs to leave out.
    Output: `[M, dim]` in the compute dtype.
    """

    def __init__(
        self,
        n_items: int,
        dim: int,
        vector_dims: Mapping[str, int],
        fusion: str = "sum",
        use_ids: bool = True,
        id_dropout: float = 0.0,
        initial: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not (use_ids or vector_dims or initial):
            raise ValueError("an item needs ids or vectors. Received: neither")
        self.n_items, self.dim, self.vector_dims = n_items, dim, dict(vector_dims)
        self.fusion_name, self.use_ids, self.id_dropout = fusion, use_ids, id_dropout
        self.initial = initial
        self.frozen = {
            name: FrozenVectors(n_items, columns, dim, name=f"vectors_{name}")
            for name, columns in sorted(self.vector_dims.items())
        }
        if initial:
            self.frozen["initial"] = FrozenVectors(n_items, dim, name="vectors_initial")
        if use_ids:
            initializer = "zeros" if initial else None
            self.ids = IdEmbedding(n_items, dim, id_dropout, initializer, name="item_id")
        self.fusion = FUSIONS[fusion](dim, name="fusion")

    def call(self, rows, seen, training=None, hidden: Collection[str] = ()):
        """The fused vectors, as if the inputs named in `hidden` were missing in every row."""
        inputs, masks = self.inputs(rows, seen, training=training)
        for name in hidden:
            masks[name] = tf.zeros_like(masks[name])
        return self.fusion(inputs, masks)

    def inputs(self, rows, seen, training=None) -> tuple[dict, dict]:
        """What is fused: name -> vectors `[M, d]` and name -> bool `[M]`.

        The id's name is "id". `tower.fusion(inputs, masks)` is `tower(rows, seen)`.
        """
        inputs, masks = {}, {}
        for name, layer in self.frozen.items():
            inputs[name], masks[name] = layer(rows)
        if self.use_ids:
            inputs["id"] = self.ids(tf.where(seen, rows, -1), training=training)
            masks["id"] = tf.ones_like(seen)
        return inputs, masks

    def get_config(self):
        return super().get_config() | {
            "n_items": self.n_items,
            "dim": self.dim,
            "vector_dims": self.vector_dims,
            "fusion": self.fusion_name,
            "use_ids": self.use_ids,
            "id_dropout": self.id_dropout,
            "initial": self.initial,
        }
