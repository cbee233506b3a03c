"""Ranking: the probability that a user takes an item."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.ranker_spec import RankerSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.models.backbones.backbones import make_backbone
from tfrec_fusion.models.building import (
    check_features,
    check_vocabularies,
    check_width,
    checked,
    fitted_numbers,
    precision_of,
)
from tfrec_fusion.models.data_model import DataModel
from tfrec_fusion.models.heads.binary_head import BinaryHead
from tfrec_fusion.models.objectives.catalogue import OBJECTIVES, find_loss
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.ranker_config import RankerConfig
from tfrec_fusion.models.ranker_data import described, example
from tfrec_fusion.models.ranker_features import RankerFeatures
from tfrec_fusion.models.serving.ranker_serving import RankerServing
from tfrec_fusion.models.towers.item_tower import ItemTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class Ranker(DataModel):
    """A backbone over ids, text, numbers, categories, history and context.

    The features x_0 of a user, an item and a context are concatenated:

    - v, the item's fused id and vectors (`ItemTower`), and the vectors of its categories;
    - u, a linear map of two pools of the history's fused vectors (`HistoryPooling`), of the user's
      id, or of both; and the product u * v;
    - how the item matches each item of the history (`HistoryMatch`), by v and each frozen vector;
    - the item's recency and trend and its numbers, the size and recency of the history, and the
      numeric context, batch-normalised; the vectors of the context's categories.

    A backbone makes a representation of x_0, by default crosses beside a deep network (`DCNv2`),
    and the logit is linear in it. An item that was not seen before the cut has no id.

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
        self.spec, frozen, fitted = described(data, self.config)
        spec, config = self.spec, self.config
        self.sign(reads_user_ids=config.user != "history")
        self.features = RankerFeatures(spec, config, name="features")
        self.backbone = make_backbone(config)
        self.head = BinaryHead(name="logit")
        self(example(spec))
        for key, (values, mask) in frozen.items():
            self.tower.frozen[key].assign(values, mask)
        if fitted is not None:
            categories, context = fitted
            for column, rows in categories.items():
                self.features.category_rows[column].assign(rows)
            self.features.context_numbers.fit(context)
            self.features.numbers.fit(fitted_numbers(data))

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Logits float32 of a batch of `ranking_examples`, `[B]` or `[B, N]` as its `item`."""
        x0 = self.features(batch, training=training)
        logits = self.head(self.backbone(x0, training=training))
        return tf.reshape(logits, tf.shape(batch["item"]))

    @property
    def tower(self) -> ItemTower:
        """What makes an item's vector."""
        return self.features.tower

    @property
    def reads_history(self) -> bool:
        """Whether the user's history counts."""
        return self.features.user_tower.reads_history

    @property
    def reads_user_ids(self) -> bool:
        """Whether it matters who the user is."""
        return self.features.user_tower.reads_user_ids

    def compile(self, optimizer="adam", loss=None, metrics=None, **options):
        """As in Keras; the loss is cross entropy from logits unless given.

        `loss` and `metrics` compare labels with logits, both `[n, 1]`, but for an `Objective`,
        which compares the items of a row `[B, N]`; a name or `module:Class` of one is taken too.
        The AUC is a metric beside the default loss only, as labels of other losses need not be 0
        and 1.

        Raises:
          InputError: an unknown loss, or `jit_compile=True`.
        """
        loss = self.config.loss if loss is None else loss
        if loss is None:
            loss = self.head.default_loss()
            given = options.get("weighted_metrics") or []
            options["weighted_metrics"] = [*self.head.default_metrics(), *given]
        super().compile(optimizer, loss=_found(loss), metrics=metrics, **options)

    def compute_loss(self, batch, training=False) -> tf.Tensor:
        """Mean loss of a batch with `label` and perhaps `weight`, plus the ids' L2 in training.

        Raises:
          InputError: examples that this model cannot be trained on.
        """
        self.check_batch(batch)
        logits = self(batch, training=training)
        labels, flat, weights = self.head.examples(batch, logits)
        added = list(self.losses)
        if training and self.config.use_ids and self.config.id_l2:
            rows = tf.unique(tf.reshape(batch["item"], [-1]))[0]
            touched = tf.nn.embedding_lookup(self.tower.ids.table, rows)
            added.append(self.config.id_l2 * tf.nn.l2_loss(touched))
        self.compiled_metrics.update_state(labels, flat, weights)
        if isinstance(self.loss, Objective):
            labels, flat, weights = self.head.lists(batch, logits)
        return self.compiled_loss(labels, flat, weights, regularization_losses=added)

    def check_batch(self, batch) -> None:
        """Raises InputError where the model cannot be trained on batches with these fields."""
        received = f"Received: {sorted(batch)}"
        for name in ("user", "item", "item_features", "is_warm"):
            if name not in batch:
                raise InputError(
                    f"Ranker: the batches have no {name!r}; pass those of "
                    f"ranking_examples(events, 1024). {received}"
                )
        for name in self.head.fields:
            if name not in batch:
                raise InputError(
                    f"Ranker: the batches have no {name!r}; give the events a column {name!r} or "
                    f"sample negatives. {received}"
                )
        if isinstance(getattr(self, "loss", None), Objective):
            self.loss.check("Ranker", batch)
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
                    "is_warm": tf.broadcast_to(seen, shape),
                }
            )

        def scores(users: np.ndarray) -> np.ndarray:
            users = np.asarray(users, np.int32)
            items, ages = state.padded_histories(users, history)
            return score(users, items, ages).numpy()

        return scores

    ranks_catalogue = False

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


def _found(loss):
    """As `find_loss`; the name of a loss of Keras is left as it is."""
    if isinstance(loss, str) and loss not in OBJECTIVES and ":" not in loss:
        try:
            keras.losses.get(loss)
        except ValueError:
            raise InputError(
                f"Ranker: compile: loss: must be one of {', '.join(OBJECTIVES)}, a loss of Keras, "
                f"or module:name of your own. Received: {loss!r}"
            ) from None
        return loss
    return find_loss("Ranker", loss)
