"""Copies of models for an export, with tables stored at a lower precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FrozenVectors, IdEmbedding
from tfrec_fusion.models.towers.pooled_history import PooledHistory
from tfrec_fusion.retrieval.stored_items import StoredItems

if TYPE_CHECKING:
    from tfrec_fusion.models.alpha_rec import AlphaRec
    from tfrec_fusion.models.ranker import Ranker
    from tfrec_fusion.models.two_tower import TwoTower


def stored_user_side(model: TwoTower, precision: str) -> TwoTower:
    """Returns a copy of a model's user side, with its tables stored at a precision.

    It stores the user ids at `precision` and the kernel over the history pools as float16, and has
    only one item. A model with a custom user tower is returned unchanged.

    Args:
      model: the trained model; returned unchanged for "float32".
      precision: one of `PRECISIONS`.
    """
    if precision == "float32":
        return model
    if not isinstance(model.user_tower, PooledHistory):
        return model
    config = model.get_config()
    config["data"] = config["data"] | {"n_items": 1}
    side = type(model).from_config(config)
    side.scale.assign(model.scale)
    tower = model.user_tower
    if hasattr(tower, "to_user"):
        # The kernel is small and affects all scores, so int8 would not be worth the error.
        side.user_tower.to_user = _StoredDense(tower.to_user, "float16")
    if tower.reads_user_ids:
        side.user_tower.ids = _StoredIds(tower.ids, precision)
    for name in ("user_side", "context_side", "event_side"):
        if getattr(model.spec, name) is not None:
            mine, theirs = (getattr(one, name).trainable_weights for one in (side, model))
            for weight, value in zip(mine, theirs, strict=True):
                weight.assign(value)
    if model.scores_repeats:
        side.repeat_score.set_weights(model.repeat_score.get_weights())
    if model.spec.feature_names:
        side.user_trend.set_weights(model.user_trend.get_weights())
    if model.spec.weighted_history:
        side.user_tower.history_weights = tf.Variable(tower.history_weights, trainable=False)
    return side


def stored_ranker(model: Ranker, precision: str) -> Ranker:
    """Returns a copy of a ranker, with user ids, item ids and frozen vectors at a precision.

    Args:
      model: the trained model; returned unchanged for "float32".
      precision: one of `PRECISIONS`.
    """
    if precision == "float32":
        return model
    copy = with_stored_vectors(model, precision)
    if model.reads_user_ids:
        tower = model.features.user_tower
        copy.features.user_tower.ids = _StoredIds(tower.ids, precision)
    if model.config.use_ids:
        copy.tower.ids = _StoredIds(model.tower.ids, precision)
    return copy


def with_stored_vectors(model: AlphaRec | Ranker, precision: str) -> AlphaRec | Ranker:
    """Returns a copy of a model with float32 frozen vectors stored at a precision."""
    if precision == "float32":
        return model
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    for name, layer in model.tower.frozen.items():
        if layer.storage == "float32":
            copy.tower.frozen[name] = _stored(layer, precision)
    return copy


def _stored(layer: FrozenVectors, precision: str) -> FrozenVectors:
    stored = FrozenVectors.from_config(layer.get_config() | {"storage": precision})
    stored.assign(layer.matrix.numpy(), layer.mask.numpy())
    if layer.dim is not None:
        stored.kernel.assign(layer.kernel)
    return stored


class _StoredDense(keras.layers.Layer):
    """A linear `Dense` layer with its kernel stored at a precision."""

    def __init__(self, dense: keras.layers.Dense, precision: str):
        super().__init__(name=dense.name, dtype="float32")
        self.kernel = StoredItems(dense.kernel.numpy().T, precision)
        self.bias = tf.Variable(dense.bias, trainable=False)

    def call(self, inputs):
        return self.kernel.product(inputs, 0, self.kernel.count) + self.bias


class _StoredIds(keras.layers.Layer):
    """An `IdEmbedding` for inference, with its table stored at a precision."""

    def __init__(self, ids: IdEmbedding, precision: str):
        super().__init__(name=ids.name, dtype=ids.dtype_policy)
        self.table = StoredItems(ids.table.numpy(), precision)
        self.unknown = tf.Variable(
            ids.unknown if ids.has_unknown else tf.zeros([ids.dim]), trainable=False
        )

    def call(self, rows, training=None, with_mask=False):
        known = rows >= 0
        vectors = self.table.gather(tf.maximum(rows, 0))
        vectors = tf.cast(tf.where(known[..., None], vectors, self.unknown), self.compute_dtype)
        return (vectors, known) if with_mask else vectors
