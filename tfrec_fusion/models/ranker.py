"""Ranking: the probability that a user takes an item."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from tfrec_fusion._compat import keras, tf, tfrs
from tfrec_fusion.data import Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.ranking import feature_names
from tfrec_fusion.features.ranker_spec import RankerSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.layers import (
    HistoryMatch,
    HistoryPooling,
    IdEmbedding,
    PoolAverage,
    Standardise,
)
from tfrec_fusion.models.building import (
    check_features,
    check_storage,
    check_vocabularies,
    check_width,
    checked,
    fitted_numbers,
    frozen_vectors,
    item_numbers_of,
    precision_of,
    vector_names,
)
from tfrec_fusion.models.data_model import DataModel
from tfrec_fusion.models.ranker_config import RankerConfig
from tfrec_fusion.models.serving.ranker_serving import RankerServing
from tfrec_fusion.models.towers.item_tower import ItemTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class Ranker(DataModel):
    """DCN-v2 over ids, text, numbers, categories, history and context.

    The features x_0 of a user, an item and a context are concatenated:

    - v, the item's fused id and vectors (`ItemTower`), and the vectors of its categories;
    - u, a linear map of two pools of the history's fused vectors (`HistoryPooling`), of the user's
      id, or of both; and the product u * v;
    - how the item matches each item of the history (`HistoryMatch`), by v and each frozen vector;
    - the item's recency and trend and its numbers, the size and recency of the history, and the
      numeric context, batch-normalised; the vectors of the context's categories.

    Then `x_{l+1} = x_0 * (U V x_l + b) + x_l` (Cross, Wang et al., "DCN V2", WWW 2021, rank a
    quarter of the width) beside a deep network of x_0, and the logit is linear in both. An item
    that was not seen before the cut has no id.

    Trained by cross entropy on the batches of `ranking_examples`; `compile(loss=...)` changes the
    loss.

    Args:
      data: the training events, from which sizes, vectors and whitening are taken and which are not
        kept; or the `RankerSpec` of a saved model.
      **options: see `RankerConfig`.

    Raises:
      InputError: an unknown option or value, or a vector or column that the data lack.

    Example:
      >>> model = Ranker(split.train)
      >>> batches = tff.examples.ranking_examples(split.train, 512)
      >>> model.compile(tff.optimizers.adam(1e-3, steps=len(batches)))
      >>> history = model.fit(batches, verbose=0)
    """

    def __init__(self, data: Interactions | RankerSpec | dict, *, name=None, **options):
        # Ages and trends stay float32 under any policy; the item tower, the crosses and the deep
        # layers follow the policy.
        super().__init__(name=name, dtype="float32")
        self.config = checked("Ranker", RankerConfig, options)
        with precision_of(self.config):
            self._make(data)

    def _make(self, data) -> None:
        self.spec, frozen, fitted = _described(data, self.config)
        spec, config = self.spec, self.config
        self.sign(reads_user_ids=config.user != "history")
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
            name="item_tower",
        )
        self.reads_history = config.user in ("history", "both")
        if self.reads_history:
            self.pooling = HistoryPooling(config.decay_days, name="history")
            self.to_user = keras.layers.Dense(
                config.dim, kernel_initializer=PoolAverage(), dtype="float32", name="user_tower"
            )
            self.matches = {
                name: HistoryMatch(config.decay_days, name=f"match_{name}")
                for name in ("fused", *spec.vector_dims)
            }
        if config.user in ("id", "both"):
            self.user_ids = IdEmbedding(spec.n_users, config.dim, config.id_dropout, name="user_id")
        self.category_rows, self.category_tables, self.lookups = {}, {}, {}
        for column, values in spec.categories.items():
            self.category_rows[column] = self.add_weight(
                f"rows_{column}", (spec.n_items,), tf.int32, "zeros", trainable=False
            )
            self.category_tables[column] = IdEmbedding(
                len(values), config.category_dim, name=f"category_{column}"
            )
        for column, values in spec.context_categories.items():
            self.lookups[column] = keras.layers.StringLookup(
                vocabulary=values, num_oov_indices=1, name=f"lookup_{column}"
            )
            self.category_tables[column] = IdEmbedding(
                len(values), config.category_dim, name=f"context_{column}"
            )
        self.numbers = Standardise(len(spec.numbers), name="numbers")
        self.context_numbers = Standardise(len(spec.context_numbers), name="context_numbers")
        names = spec.feature_names if config.trend else spec.numbers
        self.columns = [spec.feature_names.index(name) for name in names]
        self.normalise = keras.layers.BatchNormalization(dtype="float32", name="normalise")
        self.crosses, self.deep = [], []
        self.logit = keras.layers.Dense(1, dtype="float32", name="logit")
        width = self._features(_example(spec), False).shape[-1]
        self.crosses = [
            tfrs.layers.dcn.Cross(max(width // 4, 1), name=f"cross_{index}")
            for index in range(config.cross_layers)
        ]
        self.deep = [
            keras.layers.Dense(units, "relu", name=f"deep_{index}")
            for index, units in enumerate(config.hidden)
        ]
        self.dropout = keras.layers.Dropout(config.dropout)
        self(_example(spec))
        for key, (values, mask) in frozen.items():
            self.tower.frozen[key].assign(values, mask)
        if fitted is not None:
            categories, context = fitted
            for column, rows in categories.items():
                self.category_rows[column].assign(rows)
            self.context_numbers.fit(context)
            self.numbers.fit(fitted_numbers(data))

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Logits float32 of a batch of `ranking_examples`, `[B]` or `[B, N]` as its `item`."""
        x0 = self._features(batch, training)
        crossed = x0
        for layer in self.crosses:
            crossed = layer(x0, crossed)
        deep = x0
        for layer in self.deep:
            deep = self.dropout(layer(deep), training=training)
        logit = self.logit(tf.concat([tf.cast(crossed, tf.float32), tf.cast(deep, tf.float32)], -1))
        return tf.reshape(logit, tf.shape(batch["item"]))

    def compile(self, optimizer="adam", loss=None, metrics=None, **options):
        """As in Keras; the loss is cross entropy from logits unless given.

        `loss` and `metrics` compare labels with logits, both `[n, 1]`. The AUC is a metric beside
        the default loss only, as labels of other losses need not be 0 and 1.
        """
        if loss is None:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            auc = keras.metrics.AUC(from_logits=True, name="auc")
            options["weighted_metrics"] = [auc, *(options.get("weighted_metrics") or [])]
        super().compile(optimizer, loss=loss, metrics=metrics, **options)

    def compute_loss(self, batch, training=False) -> tf.Tensor:
        """Mean loss of a batch with `label` and perhaps `weight`, plus the ids' L2 in training.

        Raises:
          InputError: examples that this model cannot be trained on.
        """
        self.check_batch(batch)
        logits = self(batch, training=training)
        labels, flat = tf.reshape(batch["label"], [-1, 1]), tf.reshape(logits, [-1, 1])
        weights = batch.get("weight")
        if weights is not None:
            repeats = tf.size(logits) // tf.size(weights)
            weights = tf.repeat(weights, repeats)
        added = list(self.losses)
        if training and self.config.use_ids and self.config.id_l2:
            rows = tf.unique(tf.reshape(batch["item"], [-1]))[0]
            touched = tf.nn.embedding_lookup(self.tower.ids.table, rows)
            added.append(self.config.id_l2 * tf.nn.l2_loss(touched))
        self.compiled_metrics.update_state(labels, flat, weights)
        return self.compiled_loss(labels, flat, weights, regularization_losses=added)

    def check_batch(self, batch) -> None:
        """Raises InputError where the model cannot be trained on batches with these fields."""
        received = f"Received: {sorted(batch)}"
        for name in ("user", "item", "item_features", "item_seen"):
            if name not in batch:
                raise InputError(
                    f"Ranker: the batches have no {name!r}; pass those of "
                    f"ranking_examples(events, 1024). {received}"
                )
        if "label" not in batch:
            raise InputError(
                "Ranker: the batches have no 'label'; give the events a column 'label' or sample "
                f"negatives. {received}"
            )
        context = [*self.spec.context_numbers, *self.spec.context_categories]
        missing = [name for name in context if name not in batch]
        if missing:
            raise InputError(
                f"Ranker: the batches have no {missing[0]!r}, which the model reads; make them by "
                f"ranking_examples(events, context={context}). {received}"
            )
        check_width("Ranker", self.spec, batch["item_features"])

    def scorer(self, state: State, history: int = 64) -> Callable[[np.ndarray], np.ndarray]:
        """A function from user rows `[B]` to logits `[B, n_items]` float32, without a context.

        Args:
          state: histories and item features; its vocabularies must be the model's.
          history: how many of the last items of a history are read.

        Raises:
          InputError: other vocabularies, or a model that reads a context.
        """
        self.check(state.events)
        if self.config.context:
            raise InputError(f"Ranker: a scorer has no context. Received: {self.config.context}")
        n_items = self.spec.n_items
        features = tf.constant(state.item_features(self.spec)[0])
        seen = tf.constant(state.seen)

        @tf.function(reduce_retracing=True)
        def score(users, items, ages):
            shape = tf.stack([tf.shape(users)[0], n_items])
            return self(
                {
                    "user": users,
                    "item": tf.broadcast_to(tf.range(n_items), shape),
                    "history": items,
                    "history_age": ages,
                    "item_features": tf.broadcast_to(
                        features, tf.concat([shape, tf.shape(features)[1:]], 0)
                    ),
                    "item_seen": tf.broadcast_to(seen, shape),
                }
            )

        def scores(users: np.ndarray) -> np.ndarray:
            users = np.asarray(users, np.int32)
            items, ages = state.padded_histories(users, history)
            return score(users, items, ages).numpy()

        return scores

    ranks_catalogue = False

    @property
    def reads_user_ids(self) -> bool:
        """Whether it knows the users of training alone."""
        return self.config.user != "history"

    @property
    def refreshes(self) -> bool:
        """Whether newer events change its scores without training."""
        trends = set(self.spec.feature_names) - set(self.spec.numbers)
        return self.config.trend and bool(trends)

    def serving(self, state: State, precision: str = "float32") -> RankerServing:
        """What an export serves, with tables and trends in a precision."""
        return RankerServing(self, state, precision)

    def check(self, events: Interactions) -> None:
        """Raises InputError where `events` has vocabularies that the model was not built for.

        It also does where they lack columns that the model reads, which it finds by name.
        """
        check_vocabularies(self.spec, events, reads_user_ids=self.reads_user_ids)
        check_features(self.spec, events)
        self.check_weights()

    def _features(self, batch, training) -> tf.Tensor:
        """x_0 `[B, N, width]` in the item tower's compute dtype; N is 1 for flat items."""
        config = self.config
        n_users = tf.shape(batch["user"])[0]
        shape = tf.concat([[n_users], [tf.size(batch["item"]) // tf.maximum(n_users, 1)]], 0)
        items, seen = tf.reshape(batch["item"], shape), tf.reshape(batch["item_seen"], shape)
        history = batch["history"] if self.reads_history else tf.zeros([n_users, 0], tf.int32)
        known = history >= 0
        vectors, past = self._item_vectors(items, seen, history, training)
        embedded = [vectors]
        numbers = [self._item_numbers(batch["item_features"], shape)]

        def for_each_item(values):
            whole = tf.concat([shape, tf.shape(values)[-1:]], 0)
            return tf.broadcast_to(tf.expand_dims(values, 1), whole)

        user = 0.0
        if self.reads_history:
            ages = batch["history_age"]
            pooled = self.pooling(
                tf.boolean_mask(past, known),
                tf.cast(tf.where(known)[:, 0], tf.int32),
                tf.boolean_mask(ages, known),
                n_users,
            )
            user = self.to_user(pooled)
            numbers += [
                for_each_item(pooled[:, -2:]),
                self.matches["fused"](vectors, past, known, ages),
            ]
            for name in self.spec.vector_dims:
                matrix = self.tower.frozen[name].matrix
                numbers.append(
                    self.matches[name](_rows(matrix, items), _rows(matrix, history), known, ages)
                )
        if config.user in ("id", "both"):
            user += tf.cast(self.user_ids(batch["user"], training=training), tf.float32)
        user = for_each_item(tf.cast(user, self.tower.compute_dtype))
        embedded += [user, user * vectors]
        for column in self.spec.categories:
            rows = tf.gather(self.category_rows[column], tf.maximum(items, 0))
            embedded.append(self.category_tables[column](tf.where(items >= 0, rows, -1)))
        if self.spec.context_numbers:
            values = [tf.cast(batch[column], tf.float32) for column in self.spec.context_numbers]
            numbers.append(for_each_item(self.context_numbers(tf.stack(values, 1))))
        for column in self.spec.context_categories:
            rows = self.context_rows(column, batch[column])
            embedded.append(for_each_item(self.category_tables[column](rows)))
        numbers = self.normalise(tf.concat(numbers, -1), training=training)
        embedded.append(numbers)
        return tf.concat([tf.cast(values, self.tower.compute_dtype) for values in embedded], -1)

    def _item_vectors(self, items, seen, history, training):
        """Fused vectors of items `[B, N, dim]` and of the history `[B, L, dim]`."""
        # One pass over the distinct rows, so that history and items share a dropout draw. Whether
        # an item was seen depends on the cut; what is in a history was.
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

    def context_rows(self, column: str, values) -> tf.Tensor:
        """Rows int32 of a text context's values, -1 for an unknown one; rows stay as they are."""
        if tf.as_dtype(values.dtype).is_integer:
            return tf.cast(values, tf.int32)
        return tf.cast(self.lookups[column](values), tf.int32) - 1

    def _item_numbers(self, features, shape):
        features = self.numbers(features)
        if len(self.columns) < len(self.spec.feature_names):
            features = tf.gather(features, self.columns, axis=-1)
        return tf.reshape(features, tf.concat([shape, [len(self.columns)]], 0))


def _rows(matrix, rows) -> tf.Tensor:
    """Rows `[...]` of a matrix, zeros for -1."""
    values = tf.cast(tf.gather(matrix, tf.maximum(rows, 0)), tf.float32)
    return tf.where(tf.expand_dims(rows >= 0, -1), values, 0.0)


def _described(data, config: RankerConfig):
    """The spec of `data`, name -> (values, mask) of the frozen vectors, and what is fitted.

    That is column -> category rows, and the context's numbers `[n_events, columns]`.
    """
    if isinstance(data, RankerSpec | dict):
        return RankerSpec.model_validate(data), {}, None
    require_interactions(data, "Ranker")
    catalogue = data.catalogue
    names = vector_names("Ranker", catalogue, config.vectors)
    check_storage("Ranker", config.storage, names)
    if not (config.use_ids or names):
        raise InputError("Ranker: use_ids=False needs vectors; the catalogue has none")
    frozen = frozen_vectors(data, names, config.whitening_dim)
    trained = np.bincount(data.item, minlength=len(catalogue)) > 0
    categories, rows = {}, {}
    for column in config.categories:
        texts = catalogue.texts(column)
        values = np.unique(texts[trained & (texts != "")])
        categories[column] = values.tolist()
        rows[column] = pd.Index(values).get_indexer(texts).astype(np.int32)
    numbers, strings = {}, {}
    for column in config.context:
        if column not in data.context:
            raise InputError(
                f"Ranker: context: the interactions have no column {column!r}. "
                f"They have: {list(data.context)}"
            )
        values = data.context[column]
        if pd.api.types.is_numeric_dtype(values):
            numbers[column] = values.to_numpy(np.float64, na_value=np.nan)
            if not np.isfinite(numbers[column]).any():
                raise InputError(f"Ranker: context: column {column!r} has no finite number")
        else:
            strings[column] = sorted({value for value in values.dropna() if value != ""})
    spec = RankerSpec(
        n_users=len(data.users),
        n_items=len(catalogue),
        users=data.users.fingerprint,
        items=catalogue.vocabulary.fingerprint,
        vector_dims={name: values.shape[1] for name, (values, _) in frozen.items()},
        feature_names=feature_names(data),
        numbers=item_numbers_of("Ranker", catalogue),
        categories=categories,
        context_numbers=tuple(numbers),
        context_categories=strings,
    )
    context = np.stack(list(numbers.values()), 1) if numbers else np.zeros((len(data), 0))
    return spec, frozen, (rows, context)


def _example(spec: RankerSpec) -> dict[str, tf.Tensor]:
    """One user with one item: builds every variable."""
    one = tf.zeros([1], tf.int32)
    batch = {
        "user": one,
        "item": one,
        "history": one[:, None],
        "history_age": tf.zeros([1, 1]),
        "item_features": tf.zeros([1, len(spec.feature_names)]),
        "item_seen": tf.ones([1], tf.bool),
    }
    numbers = {column: tf.zeros([1]) for column in spec.context_numbers}
    return batch | numbers | {column: tf.constant([""]) for column in spec.context_categories}
