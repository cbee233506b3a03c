"""Layer that computes the input features of a ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.context import CONTEXT_FIELDS
from tfrec_fusion.features.history_events import EVENT_FIELDS
from tfrec_fusion.features.label_rates import LABEL_RATES
from tfrec_fusion.features.side import Side
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.layers import (
    EventModulation,
    FeatureFields,
    HistoryMatch,
    SideFeatures,
    Standardise,
)
from tfrec_fusion.layers.history_pooling import history_size
from tfrec_fusion.models.building import feature_sizes
from tfrec_fusion.models.ranker_config import RankerConfig
from tfrec_fusion.models.towers.item_tower import ItemTower
from tfrec_fusion.models.towers.pooled_history import PooledHistory
from tfrec_fusion.models.towers.user_features import USER_FIELDS


@keras.utils.register_keras_serializable("tfrec_fusion")
class RankerFeatures(keras.layers.Layer):
    """Computes what a backbone reads of users, items and a context; `Ranker` lists the features.

    Args:
      spec: the spec of the training data, or its mapping.
      config: options of the ranker, or their mapping.
      reads: names of the inputs to compute, see `Backbone`.

    Input: a batch of `ranking_examples`; N is 1 for flat items. `perturbed` is added to the fused
      vectors: `item` `[B, N, dim]` and, if it is there, `history` `[B, L, dim]`.
    Output: x_0 `[B, N, width]` in the item tower's compute dtype, or if `reads` is not ("x0",) a
      dict of what it names.

    Raises:
      InputError: `reads` names something else, or the history where the ranker reads none.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        config: RankerConfig | dict[str, Any],
        reads: Sequence[str] = ("x0",),
        **kwargs,
    ):
        # Ages and trends stay float32 under any policy.
        super().__init__(**({"dtype": "float32"} | kwargs))
        self.spec = spec = DataSpec.model_validate(spec)
        self.config = config = RankerConfig.model_validate(config)
        self.reads = tuple(reads)
        check_reads(self.reads, config)
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
        # By the default momentum of .99, averages lag behind in a training of a few hundred steps.
        self.normalise = keras.layers.BatchNormalization(
            momentum=0.9, dtype="float32", name="normalise"
        )
        self.field_maps, self.field_names = {}, {}
        if "features" in self.reads:
            for name in ("item", "user", "context"):
                side = getattr(spec, f"{name}_side")
                if side is not None:
                    self.field_names[name] = field_names(name, side)
                    self.field_maps[name] = FeatureFields(
                        len(side.slots), side.n_numbers, config.dim, name=f"{name}_fields"
                    )

    def call(
        self,
        batch: Mapping[str, tf.Tensor],
        training=None,
        perturbed: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        reads_history = self.user_tower.reads_history
        n_users = tf.shape(batch["user"])[0]
        shape = tf.concat([[n_users], [tf.size(batch["item"]) // tf.maximum(n_users, 1)]], 0)
        items, seen = tf.reshape(batch["item"], shape), tf.reshape(batch["is_warm"], shape)
        history = batch["history"] if reads_history else tf.zeros([n_users, 0], tf.int32)
        known = history >= 0
        vectors, past = self._item_vectors(items, seen, history, training)
        if perturbed is not None:
            vectors += tf.cast(perturbed["item"], vectors.dtype)
            if "history" in perturbed:
                past += tf.cast(perturbed["history"], past.dtype)
        if self.spec.event_side is not None and EVENT_FIELDS[0] in batch:
            past = self.event_side(past, *(batch[name] for name in EVENT_FIELDS))
        numbers = [self._item_numbers(batch["item_features"], shape)]
        if self.spec.label_rates:
            rates = batch[LABEL_RATES]
            numbers.append(tf.reshape(rates, tf.concat([shape, tf.shape(rates)[-1:]], 0)))

        def for_each_item(values):
            return tf.broadcast_to(values, tf.concat([shape, tf.shape(values)[-1:]], 0))

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
            given = given or self.user_side.encoded(users)
            user += self.user_side.of(*given)
        if reads_history:
            numbers.append(for_each_item(tf.expand_dims(size, 1)))
            numbers.append(self.matches["fused"](vectors, past, known, ages))
            for name in self.spec.vector_dims:
                matrix = self.tower.frozen[name].matrix
                numbers.append(
                    self.matches[name](_rows(matrix, items), _rows(matrix, history), known, ages)
                )
        numbers = self.normalise(tf.concat(numbers, -1), training=training)
        user = tf.expand_dims(tf.cast(user, vectors.dtype), 1)
        fields = {"item": vectors, "user": user, "product": user * vectors}
        context = [batch[name] for name in CONTEXT_FIELDS] if self.spec.context_side else []
        if context:
            fields["context"] = tf.expand_dims(self.context_side.of(*context), 1)
        fields = {name: tf.cast(one, vectors.dtype) for name, one in fields.items()}
        found = {}
        if "x0" in self.reads:
            parts = [for_each_item(one) for one in (*fields.values(), numbers)]
            found["x0"] = tf.concat([tf.cast(part, vectors.dtype) for part in parts], -1)
        if self.reads == ("x0",):
            return found["x0"]
        if "fields" in self.reads:
            found["fields"] = fields
        if "features" in self.reads:
            found["features"] = self._declared(items, given, context)
        if "numbers" in self.reads:
            found["numbers"] = numbers
        if "history" in self.reads:
            past = tf.where(tf.expand_dims(known, -1), past, tf.zeros([], past.dtype))
            past = tf.cast(past, vectors.dtype)
            found["history"] = {"vectors": past, "present": known, "ages": ages}
        return found

    def _declared(self, items, user, context) -> dict[str, tf.Tensor]:
        """Computes the vectors of declared features, `[B, N, dim]` of items, else `[B, 1, dim]`."""
        found = {}
        for name, layer in self.field_maps.items():
            if name == "item":
                side, encoded = self.tower.features, self.tower.features.encoded(items)
            else:
                side = self.user_side if name == "user" else self.context_side
                encoded = [tf.expand_dims(one, 1) for one in (user if name == "user" else context)]
            pooled = side.pooled(encoded[0]) if side.slots else encoded[1]
            found |= zip(self.field_names[name], layer(pooled, encoded[1]), strict=True)
        return found

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
            "reads": list(self.reads),
        }


def _rows(matrix, rows) -> tf.Tensor:
    """Looks up rows `[...]` of a matrix; zeros for -1."""
    values = tf.cast(tf.gather(matrix, tf.maximum(rows, 0)), tf.float32)
    return tf.where(tf.expand_dims(rows >= 0, -1), values, 0.0)


_INPUTS = ("x0", "fields", "features", "numbers", "history")


def check_reads(reads: Sequence[str], config: RankerConfig) -> None:
    """Raises InputError if a backbone's `reads` names what no ranker, or this one, has."""
    unknown = [name for name in reads if name not in _INPUTS]
    if unknown or not reads:
        raise InputError(
            f"Ranker: backbone: reads: must name some of {', '.join(_INPUTS)}. "
            f"Received: {tuple(reads)}"
        )
    if "history" in reads and config.user == "id":
        raise InputError(
            "Ranker: backbone: it reads the history, which user='id' does not; pass "
            "user='history' or 'both', or another backbone. Received: user='id'"
        )


def field_names(name: str, side: Side) -> list[str]:
    """Returns the names of the fields of a side's declared features, in their order."""
    categories = [f"{name}.{one.name}" for one in side.features if one.width]
    return categories + [f"{name}_numbers"] * (side.n_numbers > 0)
