"""Item tower: one vector from an item's id, vectors and declared features."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FrozenVectors, IdEmbedding, SideFeatures
from tfrec_fusion.layers.draws import add_draws, next_seed
from tfrec_fusion.layers.fusions import make_fusion

FEATURES = "features"
"""Name of an item's declared features among the inputs of the fusion and those to hide."""


@keras.utils.register_keras_serializable("tfrec_fusion")
class ItemTower(keras.layers.Layer):
    """Fuses an item's trained id with its frozen vectors, and adds or fuses declared features.

    Args:
      n_items: rows of the catalogue.
      dim: size of the item vector.
      vector_dims: name -> columns of each frozen vector; projected to `dim` if the fusion needs
        it.
      fusion, fusion_options: see `make_fusion`.
      use_ids: whether items have trained ids.
      id_dropout: see `IdEmbedding`.
      initial: whether item vectors start from given vectors `[n_items, dim]` (named "initial", not
        projected); ids then start at zero and learn the difference.
      modality_dropout: probability in [0, 1) that training hides an input of an item; at least one
        input always remains.
      storage: storage of the frozen vectors, see `FrozenVectors`: one for all, or name -> storage
        with default "float32". "initial" is float32 unless named.
      features: sizes of the declared features, arguments of `SideFeatures`; None without any.
      item_features: "added" adds the vector of the features to the fused one; "fused" makes it one
        more input of the fusion, named "features", absent in items without any value.

    Input: `rows` int32 `[M]` (-1 unknown); `seen` bool `[M]`, as a cold item has no id; `hidden`,
      names of inputs to hide, as if the items lacked them: a hidden id becomes the unknown id,
      which id dropout trains.
    Output: `[M, dim]` in the compute dtype.
    """

    def __init__(
        self,
        n_items: int,
        dim: int,
        vector_dims: Mapping[str, int],
        fusion: str | Mapping[str, Any] = "sum",
        use_ids: bool = True,
        id_dropout: float = 0.0,
        initial: bool = False,
        fusion_options: Mapping[str, Any] | None = None,
        modality_dropout: float = 0.0,
        storage: str | Mapping[str, str] = "float32",
        features: Mapping[str, Any] | None = None,
        item_features: str = "added",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not (use_ids or vector_dims or initial or features):
            raise ValueError("an item needs ids, vectors or features. Received: none of them")
        if not 0 <= modality_dropout < 1:
            raise ValueError(f"modality_dropout must be in [0, 1). Received: {modality_dropout}")
        if item_features not in ("added", "fused"):
            raise ValueError(f"item_features must be added or fused. Received: {item_features!r}")
        self.options = {
            "n_items": n_items,
            "dim": dim,
            "vector_dims": dict(vector_dims),
            # Keras would wrap the dicts of a serialized fusion, which the model's config shares.
            "fusion": copy.deepcopy(fusion),
            "use_ids": use_ids,
            "id_dropout": id_dropout,
            "initial": initial,
            "fusion_options": dict(fusion_options or {}),
            "modality_dropout": modality_dropout,
            "storage": storage if isinstance(storage, str) else dict(storage),
            "features": None if features is None else dict(features),
            "item_features": item_features,
        }
        self.use_ids, self.modality_dropout = use_ids, modality_dropout
        self.adds_features = features is not None and item_features == "added"
        self.fuses_features = features is not None and item_features == "fused"
        self.fusion = make_fusion(fusion, dim, fusion_options)
        if self.fuses_features and self.fusion.frozen_content:
            raise ValueError(
                f"{type(self.fusion).__name__} fuses frozen vectors alone, so item_features must "
                "be 'added'. Received: 'fused'"
            )
        stored = dict.fromkeys(vector_dims, storage) if isinstance(storage, str) else storage
        projected = dim if self.fusion.projected else None
        self.frozen = {
            name: FrozenVectors(
                n_items,
                columns,
                projected,
                stored.get(name, "float32"),
                name=f"vectors_{name}",
            )
            for name, columns in sorted(vector_dims.items())
        }
        if initial:
            self.frozen["initial"] = FrozenVectors(
                n_items, dim, storage=stored.get("initial", "float32"), name="vectors_initial"
            )
        if use_ids:
            self.ids = IdEmbedding(
                n_items,
                self.fusion.id_dim,
                id_dropout,
                "zeros" if initial else None,
                unknown=self.fusion.unknown_id,
                name="item_id",
            )

        if features is not None:
            other = use_ids or bool(vector_dims) or initial
            self.features = SideFeatures(
                n_items, dim=dim, zero_start=other, name="item_features", **features
            )

    def build(self, input_shape):
        if self.modality_dropout:
            self.draws = add_draws(self)
        super().build(input_shape)

    def call(self, rows, seen, training=None, hidden: Collection[str] = ()):
        """Computes fused vectors, as if the inputs named in `hidden` were missing in every row."""
        inputs, masks = self.inputs(rows, seen, training, hidden)
        if inputs:
            fused = self.fusion(inputs, masks, training=training)
        else:
            fused = tf.zeros([tf.size(rows), self.options["dim"]], self.compute_dtype)
        if self.adds_features and FEATURES not in hidden:
            fused += tf.cast(self.features(rows), fused.dtype)
        return fused

    def inputs(self, rows, seen, training=None, hidden: Collection[str] = ()) -> tuple[dict, dict]:
        """Returns the inputs of the fusion: name -> vectors `[M, d]` and name -> mask `[M]` bool.

        The id's name is "id". `tower.fusion(inputs, masks)` equals `tower(rows, seen)` unless
        declared features are added.
        """
        inputs, masks = {}, {}
        for name, layer in self.frozen.items():
            inputs[name], masks[name] = layer(rows)
        if self.use_ids:
            known = tf.where(seen, rows, -1)
            inputs["id"], masks["id"] = self.ids(known, training=training, with_mask=True)
        if self.fuses_features:
            inputs[FEATURES], masks[FEATURES] = self.features(rows), self.features.present(rows)
        if training and self.modality_dropout:
            masks = self._dropped(rows, masks)
        for name in set(hidden) - ({FEATURES} if self.adds_features else set()):
            masks[name] = tf.zeros_like(masks[name])
        if self.use_ids and self.fusion.unknown_id:
            unknown = tf.cast(self.ids.unknown, inputs["id"].dtype)
            inputs["id"] = tf.where(masks["id"][:, None], inputs["id"], unknown)
            masks["id"] = tf.ones_like(masks["id"])
        return inputs, masks

    def _dropped(self, rows, masks: dict) -> dict:
        """Hides inputs in `masks` at random, equally for all occurrences of a row."""
        present = tf.stack(list(masks.values()), 1)
        distinct, position = tf.unique(tf.convert_to_tensor(rows))
        shape = tf.stack([tf.size(distinct), len(masks)])
        draw = tf.gather(tf.random.stateless_uniform(shape, next_seed(self.draws)), position)
        draw = tf.where(present, draw, -1.0)
        last = draw >= tf.reduce_max(draw, 1, keepdims=True)
        kept = present & ((draw >= self.modality_dropout) | last)
        return dict(zip(masks, tf.unstack(kept, len(masks), axis=1), strict=True))

    def get_config(self):
        return super().get_config() | self.options
