"""Layer that computes the input features of a ranker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.features.context import CONTEXT_FIELDS
from tfrec_fusion.features.history_events import EVENT_FIELDS
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.layers import EventModulation, HistoryMatch, SideFeatures, Standardise
from tfrec_fusion.layers.history_pooling import history_size
from tfrec_fusion.models.building import feature_sizes
from tfrec_fusion.models.ranker_config import RankerConfig
from tfrec_fusion.models.towers.item_tower import ItemTower
from tfrec_fusion.models.towers.pooled_history import PooledHistory
from tfrec_fusion.models.towers.user_features import USER_FIELDS


@keras.utils.register_keras_serializable("tfrec_fusion")
class RankerFeatures(keras.layers.Layer):
    """Computes the features x_0 of users, items and a context; `Ranker` lists them.

    Args:
      spec: the spec of the training data, or its mapping.
      config: options of the ranker, or their mapping.

    Input: a batch of `ranking_examples`.
    Output: `[B, N, width]` in the item tower's compute dtype; N is 1 for flat items.
    """

    def __init__(
        self, spec: DataSpec | dict[str, Any], config: RankerConfig | dict[str, Any], **kwargs
    ):
        # Ages and trends stay float32 under any policy.
        super().__init__(**({"dtype": "float32"} | kwargs))
        self.spec = spec = DataSpec.model_validate(spec)
        self.config = config = RankerConfig.model_validate(config)
        self.tower = ItemTower(
            spec.n_items,
            config.dim,
            spec.vector_dims,
            config.fusion,
            config.use_ids,
            config.id_dropout,
            fusion_options=config.fusion_options,
            modality_dropout=config.modality_dropout,
            storage=config.storage,
            features=spec.item_side and feature_sizes(spec.item_side, config),
            item_features=config.item_features,
            name="item_tower",
        )
        if spec.user_side is not None:
            sizes = feature_sizes(spec.user_side, config)
            self.user_side = SideFeatures(
                spec.n_users, dim=config.dim, name="user_features", **sizes
            )
        if spec.context_side is not None:
            sizes = feature_sizes(spec.context_side, config)
            self.context_side = SideFeatures(0, dim=config.dim, name="context_features", **sizes)
        if spec.event_side is not None:
            sizes = feature_sizes(spec.event_side, config)
            self.event_side = EventModulation(config.dim, name="event_features", **sizes)
        self.user_tower = PooledHistory(
            config.dim,
            spec.n_users,
            spec.n_items,
            config.user,
            config.decay_days,
            id_dropout=config.id_dropout,
            name="user_tower",
        )
        if self.user_tower.reads_history:
            self.matches = {
                name: HistoryMatch(config.decay_days, name=f"match_{name}")
                for name in ("fused", *spec.vector_dims)
            }
        self.numbers = Standardise(len(spec.numbers), name="numbers")
        names = spec.feature_names if config.trend else spec.numbers
        self.columns = [spec.feature_names.index(name) for name in names]
        self.normalise = keras.layers.BatchNormalization(dtype="float32", name="normalise")

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        reads_history = self.user_tower.reads_history
        n_users = tf.shape(batch["user"])[0]
        shape = tf.concat([[n_users], [tf.size(batch["item"]) // tf.maximum(n_users, 1)]], 0)
        items, seen = tf.reshape(batch["item"], shape), tf.reshape(batch["is_warm"], shape)
        history = batch["history"] if reads_history else tf.zeros([n_users, 0], tf.int32)
        known = history >= 0
        vectors, past = self._item_vectors(items, seen, history, training)
        if self.spec.event_side is not None and EVENT_FIELDS[0] in batch:
            past = self.event_side(past, *(batch[name] for name in EVENT_FIELDS))
        embedded = [vectors]
        numbers = [self._item_numbers(batch["item_features"], shape)]

        def for_each_item(values):
            whole = tf.concat([shape, tf.shape(values)[-1:]], 0)
            return tf.broadcast_to(tf.expand_dims(values, 1), whole)

        users = batch["user"]
        given = [batch[name] for name in USER_FIELDS if name in batch]
        if given:
            users = tf.where(users < self.spec.n_users, users, -1)
        ages = batch["history_age"] if reads_history else tf.zeros([n_users, 0])
        rows = tf.cast(tf.where(known)[:, 0], tf.int32)
        past_ages = tf.boolean_mask(ages, known)
        size = history_size(rows, past_ages, n_users)
        user = self.user_tower(
            {
                "user": users,
                "history_vector": tf.boolean_mask(past, known),
                "history_item": tf.boolean_mask(history, known),
                "history_row": rows,
                "history_age": past_ages,
                "history_size": size,
            },
            training=training,
        )
        if self.spec.user_side is not None:
            user += self.user_side.of(*given) if given else self.user_side(users)
        if reads_history:
            numbers += [for_each_item(size), self.matches["fused"](vectors, past, known, ages)]
            for name in self.spec.vector_dims:
                matrix = self.tower.frozen[name].matrix
                numbers.append(
                    self.matches[name](_rows(matrix, items), _rows(matrix, history), known, ages)
                )
        user = for_each_item(tf.cast(user, self.tower.compute_dtype))
        embedded += [user, user * vectors]
        if self.spec.context_side is not None:
            context = self.context_side.of(*(batch[name] for name in CONTEXT_FIELDS))
            embedded.append(for_each_item(context))
        numbers = self.normalise(tf.concat(numbers, -1), training=training)
        embedded.append(numbers)
        return tf.concat([tf.cast(values, self.tower.compute_dtype) for values in embedded], -1)

    def _item_vectors(self, items, seen, history, training):
        """Computes fused vectors of items `[B, N, dim]` and of the history `[B, L, dim]`."""
        # One pass over the distinct rows, so that history and items share a dropout draw. Whether
        # an item is warm depends on the cut; history items always are.
        keys = tf.concat(
            [
                tf.reshape(tf.where(items < 0, -1, 2 * items + tf.cast(seen, tf.int32)), [-1]),
                tf.reshape(tf.where(history < 0, -1, 2 * history + 1), [-1]),
            ],
            0,
        )
        distinct, position = tf.unique(keys)
        fused = self.tower(distinct // 2, (distinct >= 0) & (distinct % 2 == 1), training=training)
        places = tf.split(position, [tf.size(items), tf.size(history)])
        return (
            tf.gather(fused, tf.reshape(places[0], tf.shape(items))),
            tf.gather(fused, tf.reshape(places[1], tf.shape(history))),
        )

    def _item_numbers(self, features, shape):
        features = self.numbers(features)
        if len(self.columns) < len(self.spec.feature_names):
            features = tf.gather(features, tf.constant(self.columns, tf.int32), axis=-1)
        return tf.reshape(features, tf.concat([shape, [len(self.columns)]], 0))

    def get_config(self):
        return super().get_config() | {
            "spec": self.spec.model_dump(mode="json"),
            "config": self.config.model_dump(mode="json"),
        }


def _rows(matrix, rows) -> tf.Tensor:
    """Looks up rows `[...]` of a matrix; zeros for -1."""
    values = tf.cast(tf.gather(matrix, tf.maximum(rows, 0)), tf.float32)
    return tf.where(tf.expand_dims(rows >= 0, -1), values, 0.0)
