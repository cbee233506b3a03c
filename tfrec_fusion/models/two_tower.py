"""Two-tower retrieval: one dot product between a user and an item."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.layers import HistoryPooling, IdEmbedding, PoolAverage, Standardise
from tfrec_fusion.losses import (
    Distillation,
    InBatchSoftmax,
    InfoNCE,
    MultiTargetSoftmax,
    NormalisedSquared,
)
from tfrec_fusion.models.building import (
    check_features,
    check_vocabularies,
    check_width,
    checked,
    fitted_numbers,
    precision_of,
    width_of,
)
from tfrec_fusion.models.data_model import RetrievalModel
from tfrec_fusion.models.dot_product_scorer import DotProductScorer
from tfrec_fusion.models.objectives.auxiliary import alignment_loss, distillation_loss
from tfrec_fusion.models.objectives.pairs import check_pairs, log_shares, pair_loss
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.stored_tables import stored_user_side
from tfrec_fusion.models.serving.tower_serving import tower_serving
from tfrec_fusion.models.towers.item_tower import ItemTower
from tfrec_fusion.models.towers.own_scores import own_scores
from tfrec_fusion.models.two_tower_config import TwoTowerConfig
from tfrec_fusion.models.two_tower_spec import (
    EXAMPLE_FIELDS,
    completed,
    described,
    example_batch,
)


@keras.utils.register_keras_serializable("tfrec_fusion")
class TwoTower(RetrievalModel):
    """Retrieval model whose score folds into one dot product of `vector_dim` columns.

    With v_i the item's fused vector, u the user's, x_i the item's recency and trend as of now and h
    what is known of the user's history:

        score = scale * u.v_i + bias_i + f0(x_i) + (A h).f(x_i)

    u is a linear map of two pools of the history's item vectors (`HistoryPooling`), of the user's
    id, or of both. f0 and f are linear plus a small MLP. `user_vectors` is `[scale * u, A h, 1]`
    and `item_vectors` is `[v_i, f(x_i), bias_i + f0(x_i)]`. An item not seen yet has neither id
    nor bias.

    Trained on the batches of `Interactions.batches`: by a softmax over the catalogue (or over
    sampled candidates with logQ), on autoencoder examples by `NormalisedSquared`, or on pairs by a
    softmax over the batch's items; see `pair_loss`.
    The pairs' way suits millions of items, reads no trend, and can be trained on user ids alone.

    Args:
      data: the training events, from which sizes, vectors and whitening are taken and which are not
        kept; or the `DataSpec` of a saved model.
      initial: `SpectralVectors` or anything with `vectors` `[n_items, dim]` and `weights`
        `[n_items]` to start the item vectors and the history weights from.
      **options: see `TwoTowerConfig`.

    Raises:
      InputError: an unknown option or value, a vector the catalogue lacks, or sizes that disagree.

    Example:
      >>> model = TwoTower(split.train, dim=64, fusion="gate")
      >>> batches = split.train.batches(512)
      >>> model.compile(tff.optimizers.adam(3e-3, steps=2 * len(batches)))
      >>> history = model.fit(batches, epochs=2, verbose=0)
    """

    def __init__(self, data: Interactions | DataSpec | dict, *, initial=None, name=None, **options):
        # Scores are float32 under any policy; the item tower follows the policy.
        super().__init__(name)
        self.config = completed(checked("TwoTower", TwoTowerConfig, options), data, initial)
        with precision_of(self.config):
            self._make(data, initial)

    def _make(self, data, initial) -> None:
        self.spec, frozen = described(data, self.config, initial)
        spec, config = self.spec, self.config
        self.sign(reads_user_ids=config.user != "history")
        self.tower = ItemTower(
            spec.n_items,
            config.dim,
            {k: d for k, d in spec.vector_dims.items() if k != "initial"},
            config.fusion or "sum",
            config.use_ids,
            config.id_dropout,
            initial="initial" in spec.vector_dims,
            fusion_options=config.fusion_options,
            modality_dropout=config.modality_dropout,
            storage=config.storage,
            name="item_tower",
        )
        self.pooling = HistoryPooling(config.decay_days, name="history")
        self.reads_history = config.user in ("history", "both")
        if config.user in ("id", "both"):
            self.user_ids = IdEmbedding(spec.n_users, config.dim, config.id_dropout, name="user_id")
        if self.reads_history and config.user_layer:
            self.to_user = keras.layers.Dense(
                config.dim, kernel_initializer=PoolAverage(), dtype="float32", name="user_tower"
            )
        self.scale = self.add_weight("scale", (), initializer="ones")
        if config.use_ids:
            self.bias = self.add_weight("item_bias", (spec.n_items,), initializer="zeros")
        if spec.weighted_history:
            self.history_weights = self.add_weight(
                "history_weights", (spec.n_items,), initializer="ones", trainable=False
            )
        if spec.feature_names:
            self.numbers = Standardise(len(spec.numbers), name="numbers")
            zeros = {"kernel_initializer": "zeros", "dtype": "float32"}
            dense = keras.layers.Dense
            self.trend_hidden = dense(
                config.trend_hidden, "relu", dtype="float32", name="trend_hidden"
            )
            self.trend_match = dense(config.trend_dim, dtype="float32", name="trend_match")
            self.trend_prior = dense(1, **zeros, name="trend_prior")
            self.user_trend = dense(config.trend_dim, **zeros, name="user_trend")
        self.item_log_share = self.add_weight(
            "item_log_share", (spec.n_items,), initializer="zeros", trainable=False
        )
        self.loss_function = MultiTargetSoftmax(name="softmax")
        self.squared = NormalisedSquared(name="normalised_squared")
        half = self.tower.compute_dtype == "bfloat16"
        self.pair_softmax = InBatchSoftmax(
            matmul_dtype="bfloat16" if half else "float32", name="pair_softmax"
        )
        if config.alignment:
            self.info_nce = InfoNCE(name="alignment")
            self.content_view = keras.Sequential(
                [
                    keras.layers.Dense(config.dim, tf.nn.leaky_relu, dtype="float32"),
                    keras.layers.Dense(self.tower.fusion.id_dim, dtype="float32"),
                ],
                name="content_view",
            )
            columns = [layer.dim or layer.input_dim for layer in self.tower.frozen.values()]
            self.content_view.build([None, sum(columns)])
        if config.distillation:
            self.distil = Distillation(name="distillation")
        self(example_batch(spec))
        for key, (values, mask) in frozen.items():
            self.tower.frozen[key].assign(values, mask)
        if isinstance(data, Interactions):
            self.item_log_share.assign(log_shares(data))
            if spec.numbers:
                self.numbers.fit(fitted_numbers(data))
        if initial is not None and spec.weighted_history:
            self.history_weights.assign(initial.weights)

    @property
    def vector_dim(self) -> int:
        """Columns of `user_vectors` and `item_vectors`."""
        return self.config.dim + (self.config.trend_dim if self.spec.feature_names else 0) + 1

    def item_vectors(self, rows, features, seen, training=None) -> tf.Tensor:
        """Item side of the score.

        Args:
          rows: `[M]` int32, -1 unknown.
          features: `[M, F]` float32 trends and numbers as of the scoring time, `spec.feature_names`
            in order; NaN where a number is missing.
          seen: `[M]` bool.

        Returns:
          `[M, vector_dim]` float32.
        """
        return self.item_side(self.tower(rows, seen, training=training), rows, features, seen)

    def item_side(self, fused, rows, features, seen) -> tf.Tensor:
        """`item_vectors` of items whose fused vectors `[M, dim]` from `tower` are at hand."""
        fused = tf.cast(fused, tf.float32)
        prior = tf.zeros(tf.shape(fused)[:1])
        if self.config.use_ids:
            prior += tf.where(
                seen & (rows >= 0), tf.nn.embedding_lookup(self.bias, tf.maximum(rows, 0)), 0.0
            )
        parts = [fused]
        if self.spec.feature_names:
            features = self.numbers(features)
            hidden = tf.concat([features, self.trend_hidden(features)], 1)
            parts.append(self.trend_match(hidden))
            prior += self.trend_prior(hidden)[:, 0]
        return tf.concat([*parts, prior[:, None]], 1)

    def user_vectors(
        self,
        users,
        history_vectors,
        history_items,
        history_rows,
        history_ages,
        training=None,
        hide_size=False,
    ):
        """User side of the score.

        Args:
          users: `[B]` int32, -1 unknown.
          history_vectors: `[H, dim]` fused vectors of the history's items, from `tower`.
          history_items: `[H]` int32 item rows.
          history_rows: `[H]` int32, ascending position in the batch.
          history_ages: `[H]` float32 days before the scoring time.
          hide_size: whether to take the size and the recency of the histories for 0.

        Returns:
          `[B, vector_dim]` float32.
        """
        n_users = tf.shape(users)[0]
        pooled = self.pooling(
            history_vectors, history_rows, history_ages, n_users, self.weights_of(history_items)
        )
        if hide_size:
            pooled = tf.concat([pooled[:, :-2], tf.zeros([n_users, 2])], 1)
        user = self._from_pools(pooled) if self.reads_history else 0.0
        if self.config.user in ("id", "both"):
            user += tf.cast(self.user_ids(users, training=training), tf.float32)
        parts = [self.scale * user]
        if self.spec.feature_names:
            parts.append(self.user_trend(tf.concat([user, pooled[:, -2:]], 1)))
        return tf.concat([*parts, tf.ones([n_users, 1])], 1)

    def _from_pools(self, pooled) -> tf.Tensor:
        """`[B, dim]`: a linear map of the pools that starts as their mean, or just the mean."""
        if self.config.user_layer:
            return self.to_user(pooled)
        return tf.add_n(tf.split(pooled[:, : 2 * self.config.dim], 2, axis=1)) / 2

    def weights_of(self, history_items) -> tf.Tensor | None:
        """What each item of a history counts, `[H]` float32; None where all count alike."""
        if not self.spec.weighted_history:
            return None
        return tf.gather(self.history_weights, tf.maximum(history_items, 0))

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Scores `[B, C]` float32 of a batch of `Interactions.batches`, nothing masked.

        At the pairs `own` of a batch the score is what the rest of the history gives.
        """
        users, items, fused = self.sides(batch, training=training)
        scores = tf.matmul(users, items, transpose_b=True)
        if "own" in batch and self.reads_history:
            own = own_scores(self, fused, batch)
            scores = tf.tensor_scatter_nd_sub(scores, batch["own"], own)
        return scores

    def candidates(self, batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Item rows `[C]` int32 that a batch scores, and which were seen before, `[C]` bool."""
        rows = batch["candidate"] if "candidate" in batch else tf.range(self.spec.n_items)
        return rows, batch["item_seen"]

    def sides(self, batch, training=None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """User vectors `[B, D]`, item vectors `[C, D]` and fused vectors `[C, dim]` of a batch."""
        history = batch["history_item"]
        rows, seen = self.candidates(batch)
        if "candidate" in batch:
            # One pass over the distinct rows, so that history and targets share a dropout draw.
            distinct, position = tf.unique(tf.concat([rows, history], 0))
            n_candidates = tf.shape(rows)[0]
            old = tf.zeros(tf.shape(distinct)[:1] - n_candidates, tf.bool)
            fused = self.tower(distinct, tf.concat([seen, ~old], 0), training=training)
            history_vectors = tf.gather(fused, position[n_candidates:])
            fused = fused[:n_candidates]
        else:
            fused = self.tower(rows, seen, training=training)
            history_vectors = tf.gather(fused, history)
        items = self.item_side(fused, rows, batch["item_features"], seen)
        users = self.user_vectors(
            batch["user"],
            history_vectors,
            history,
            batch["history_row"],
            batch["history_age"],
            training=training,
        )
        return users, items, fused

    def compute_loss(self, batch, training=False) -> tf.Tensor:
        """Loss of a batch, plus the ids' L2, alignment and distillation in training.

        Raises:
          InputError: examples that this model cannot be trained on.
        """
        self.check_batch(batch)
        if "item" in batch:
            loss, touched = pair_loss(self, batch, training)
        elif "own" in batch and self.config.loss != "softmax":
            touched = None
            logits = self(batch, training=training)
            loss = self.squared(logits, batch["target"], batch["item_seen"], batch["weight"])
        else:
            touched = batch.get("candidate")
            loss = self.loss_function(
                self(batch, training=training),
                batch["target"],
                batch.get("masked", tf.zeros([0, 2], tf.int32)),
                batch["weight"],
                batch.get("log_q"),
            )
        added = self._added(batch, touched) if training else 0.0
        return self.tracked(loss, added, tf.size(batch["user"]))

    def _added(self, batch, touched) -> tf.Tensor | float:
        """What training minimises beside the loss; `touched` are a batch's items, None for all."""
        added = 0.0
        if self.config.use_ids and self.config.id_l2:
            ids = self.tower.ids.table
            if touched is not None:
                ids = tf.nn.embedding_lookup(ids, tf.maximum(touched, 0))
            added += self.config.id_l2 * tf.nn.l2_loss(ids)
        if self.config.alignment:
            added += self.config.alignment * alignment_loss(self, batch)
        if self.config.distillation:
            added += self.config.distillation * distillation_loss(self, batch)
        return added

    def check_batch(self, batch) -> None:
        """Raises InputError where the model cannot be trained on batches with these fields."""
        received = f"Received: {sorted(batch)}"
        if "item" in batch and "item_seen" in batch:
            raise InputError(
                "TwoTower: these are batches of ranking_examples, which train a Ranker; pass those "
                f"of events.batches(512). {received}"
            )
        if self.config.loss == "normalised_squared" and "own" not in batch:
            raise InputError(
                f"TwoTower: loss='normalised_squared' needs examples='autoencoder'. {received}"
            )
        if "item" in batch:
            check_pairs(self, batch)
            return
        missing = [name for name in EXAMPLE_FIELDS if name not in batch]
        if missing:
            raise InputError(
                f"TwoTower: the batches have no {missing[0]!r}; pass those of events.batches(512). "
                f"{received}"
            )
        names = self.spec.feature_names
        columns = width_of(batch["item_features"])
        if names and columns == 0:
            raise InputError(
                f"TwoTower: 'item_features' has {columns} columns, and the model reads "
                f"{list(names)}; pass TwoTower(..., trend=False), or train on batches with "
                "examples='as_of'"
            )
        if names:
            check_width("TwoTower", self.spec, batch["item_features"])

    def scorer(self, state: State) -> DotProductScorer:
        """A function from user rows `[B]` to scores `[B, n_items]` float32, with its vectors.

        Args:
          state: histories and item features; its vocabularies must be the model's.
        """
        self.check(state.events)
        rows = tf.range(self.spec.n_items)
        items = self.item_vectors(rows, state.item_features(self.spec)[0], state.seen)
        fused = items[:, : self.config.dim]

        ints = tf.TensorSpec([None], tf.int32)

        @tf.function(input_signature=[ints, ints, ints, tf.TensorSpec([None], tf.float32)])
        def vectors(users, history_items, history_rows, history_ages):
            history = tf.gather(fused, history_items)
            return self.user_vectors(users, history, history_items, history_rows, history_ages)

        def user_vectors(users: np.ndarray) -> tf.Tensor:
            users = np.asarray(users, np.int32)
            return vectors(users, *state.flat_histories(users))

        return DotProductScorer(user_vectors, items)

    explains = True

    @property
    def reads_user_ids(self) -> bool:
        """Whether it knows the users of training alone."""
        return self.config.user != "history"

    def serving(
        self, state: State, precision: str = "float32", explain: bool = False
    ) -> DotProductServing:
        """What an export serves, with the tables of the user side in a precision."""
        side = stored_user_side(self, precision)
        return tower_serving(self, side, state, precision, explain)

    def check(self, events: Interactions) -> None:
        """Raises InputError where `events` has vocabularies that the model was not built for.

        It also does where they lack columns that the model reads, which it finds by name.
        """
        check_vocabularies(self.spec, events, reads_user_ids=self.reads_user_ids)
        check_features(self.spec, events)
        self.check_weights()
