"""Two-tower retrieval: the score is one dot product of a user vector and an item vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.examples.joint import parts_of
from tfrec_fusion.features.context import neutral_context
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.features.state import State
from tfrec_fusion.layers import CandidateQueue, EventModulation, RepeatScore, SideFeatures
from tfrec_fusion.layers.draws import add_draws
from tfrec_fusion.layers.history_pooling import history_size
from tfrec_fusion.layers.outputs import checked_output
from tfrec_fusion.models.building import (
    check_features,
    check_reads_events,
    check_vocabularies,
    checked,
    feature_sizes,
    fitted_numbers,
    precision_of,
    side_values,
)
from tfrec_fusion.models.data_model import RetrievalModel
from tfrec_fusion.models.explained.pair_scorer import PairScorer
from tfrec_fusion.models.interests import best_interest
from tfrec_fusion.models.objectives.auxiliary import added_losses, content_view
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss
from tfrec_fusion.models.objectives.candidates import candidate_vectors, repeated_scores
from tfrec_fusion.models.objectives.catalogue import CatalogueSoftmax, CatalogueSquared
from tfrec_fusion.models.objectives.content_alignment import ContentAlignment
from tfrec_fusion.models.objectives.joint import Joint
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.pairs import log_shares
from tfrec_fusion.models.objectives.scored_batch import ScoredBatch
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.interest_serving import InterestServing
from tfrec_fusion.models.serving.repeat_serving import RepeatServing
from tfrec_fusion.models.serving.stored_tables import stored_user_side
from tfrec_fusion.models.serving.tower_serving import tower_serving
from tfrec_fusion.models.towers.item_tower import ItemTower
from tfrec_fusion.models.towers.tower_scorer import tower_scorer
from tfrec_fusion.models.towers.trend_match import TrendMatch
from tfrec_fusion.models.towers.user_towers import make_user_tower
from tfrec_fusion.models.two_tower_batches import check_batch, check_interests, example_batch
from tfrec_fusion.models.two_tower_config import TwoTowerConfig
from tfrec_fusion.models.two_tower_spec import completed, described


@keras.utils.register_keras_serializable("tfrec_fusion")
class TwoTower(RetrievalModel):
    """Retrieval model whose score is one dot product of vectors with `vector_dim` columns.

    With v_i the item's fused vector, u the user vector, x_i the item's recency and trend at scoring
    time, and h = [u, size and recency of the history]:

        score = scale * u.v_i + bias_i + f0(x_i) + (A h).f(x_i)

    If repeated events count (`Interactions(repeats="all")`), items of the history have a further
    score of their own, `RepeatScore`, and the whole is no dot product; not with a `SequenceTower`.
    Nor is it one for a tower with several vectors u, such as `ComiRec`, of which the best counts.

    The user tower computes u: by default a linear map of two pools of the history's item vectors
    (`PooledHistory`), which features of the past events change (`EventModulation`); `SideFeatures`
    of the user and of the request's context are added to it. f0
    and f are linear plus a small MLP. `user_vectors` is
    `[scale * u, A h, 1]` and `item_vectors` is `[v_i, f(x_i), bias_i + f0(x_i)]`. A cold item has
    neither id nor bias.

    Train it on the batches of `Interactions.batches`. The default loss is a softmax over the
    catalogue (or over sampled candidates with log-q correction); `NormalisedSquared` for
    autoencoder examples; and for pairs a softmax with in-batch negatives (see `CatalogueSoftmax`).
    `compile(loss=...)` overrides it. Pairs suit millions of items, do not read the trend, and
    allow training on user ids alone.

    Args:
      data: the training events, which give sizes, vectors and whitening and are not stored in the
        model; or the `DataSpec` of a saved model.
      initial: `SpectralVectors` or anything with `vectors` `[n_items, dim]` and `weights`
        `[n_items]`: initial values of the item vectors and the history weights.
      **options: see `TwoTowerConfig`.

    Raises:
      InputError: an unknown option or value, a vector that the catalogue lacks, or sizes that
        disagree.

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
        user_tower = make_user_tower(config, spec.n_users, spec.n_items, spec.weighted_history)
        self.sign(reads_user_ids=user_tower.reads_user_ids)
        scores_repeats = spec.repeats == "all" and not user_tower.encodes_positions
        reads_history = user_tower.reads_history or scores_repeats
        check_reads_events("TwoTower", config, reads_history)
        check_interests(user_tower, config, scores_repeats)
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
            features=spec.item_side and feature_sizes(spec.item_side, config),
            item_features=config.item_features,
            name="item_tower",
        )
        self.user_tower = user_tower
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
        self.scale = self.add_weight("scale", (), initializer="ones")
        if config.use_ids:
            self.bias = self.add_weight("item_bias", (spec.n_items,), initializer="zeros")
        if spec.feature_names:
            self.trend = TrendMatch(
                config.trend_dim, config.trend_hidden, len(spec.numbers), name="trend"
            )
            self.user_trend = keras.layers.Dense(
                config.trend_dim, kernel_initializer="zeros", dtype="float32", name="user_trend"
            )
        if scores_repeats:
            self.repeat_score = RepeatScore(name="repeat_score")
        self.item_log_share = self.add_weight(
            "item_log_share", (spec.n_items,), initializer="zeros", trainable=False
        )
        if config.history_dropout or spec.context_side or spec.event_side:
            self.draws = add_draws(self)
        if config.queue:
            self.queue = CandidateQueue(config.queue, self.vector_dim, name="queue")
        if config.alignment:
            self.content_view = content_view(self.tower)
        self(example_batch(spec))
        for key, (values, mask) in frozen.items():
            self.tower.frozen[key].assign(values, mask)
        if isinstance(data, Interactions):
            self.item_log_share.assign(log_shares(data))
            values = side_values(data, spec)
            if spec.item_side is not None:
                self.tower.features.assign(*values["item_side"])
            if spec.user_side is not None:
                self.user_side.assign(*values["user_side"])
            if spec.numbers:
                self.trend.numbers.fit(fitted_numbers(data))
        if initial is not None and spec.weighted_history:
            self.user_tower.history_weights.assign(initial.weights)

    @property
    def explains(self) -> bool:
        """Whether scores can be split into shares; not if repeated events count."""
        return not self.scores_repeats

    @property
    def scores_repeats(self) -> bool:
        """Whether items of the history have a further score of their own, `RepeatScore`.

        A tower that encodes positions learns by itself what is taken again.
        """
        return self.spec.repeats == "all" and not self.user_tower.encodes_positions

    @property
    def reads_history(self) -> bool:
        """Whether the score depends on the user's history."""
        return self.user_tower.reads_history or self.scores_repeats

    @property
    def reads_user_ids(self) -> bool:
        """Whether the score depends on the user's id."""
        return self.user_tower.reads_user_ids

    @property
    def interests(self) -> int:
        """Number of vectors of a user, of which the best one counts."""
        return self.user_tower.interests

    @property
    def vector_dim(self) -> int:
        """Number of columns of `user_vectors` and `item_vectors`."""
        return self.config.dim + (self.config.trend_dim if self.spec.feature_names else 0) + 1

    def item_vectors(self, rows, features, seen, training=None) -> tf.Tensor:
        """Computes the item side of the score.

        Args:
          rows: `[M]` int32 item rows, -1 unknown.
          features: `[M, F]` float32 trends and numbers at scoring time, in the order of
            `spec.feature_names`; NaN for a missing number.
          seen: `[M]` bool, True for warm items.

        Returns:
          `[M, vector_dim]` float32.
        """
        return self.item_side(self.tower(rows, seen, training=training), rows, features, seen)

    def item_side(self, fused, rows, features, seen) -> tf.Tensor:
        """Computes `item_vectors` from fused vectors `[M, dim]` that `tower` already gave."""
        fused = tf.cast(fused, tf.float32)
        prior = tf.zeros(tf.shape(fused)[:1])
        if self.config.use_ids:
            prior += tf.where(
                seen & (rows >= 0), tf.nn.embedding_lookup(self.bias, tf.maximum(rows, 0)), 0.0
            )
        parts = [fused]
        if self.spec.feature_names:
            match, added = self.trend(features)
            parts.append(match)
            prior += added
        return tf.concat([*parts, prior[:, None]], 1)

    def past_vectors(self, history_vectors, events=None) -> tf.Tensor:
        """Changes the vectors of histories by what is known of their events.

        Args:
          history_vectors: `[H, dim]` fused vectors of the history's items, from `tower`.
          events: encoded categories `[H, width]` and numbers `[H, n_numbers]` of the events, as
            `State.event_features`; None knows nothing of them.

        Returns:
          `[H, dim]`, for `user_vectors`.
        """
        if self.spec.event_side is None or events is None:
            return history_vectors
        return self.event_side(history_vectors, *events)

    def user_vectors(
        self,
        users,
        history_vectors,
        history_items,
        history_rows,
        history_ages,
        training=None,
        hide_size=False,
        user_features=None,
        context=None,
    ):
        """Computes the user side of the score.

        Args:
          users: `[B]` int32 user rows, -1 unknown.
          history_vectors: `[H, dim]` vectors of the history's items, from `tower`, and with
            features of events from `past_vectors`.
          history_items: `[H]` int32 item rows.
          history_rows: `[H]` int32 ascending: the batch row that each history item belongs to.
          history_ages: `[H]` float32 days before the scoring time.
          hide_size: whether to set the size and the recency of the histories to 0.
          user_features: encoded categories `[B, width]` and numbers `[B, n_numbers]` of the users,
            as `State.user_features`; None takes those stored in training. Rows from `spec.n_users`
            on are users whose id is unknown.
          context: encoded categories `[B, width]` and numbers `[B, n_numbers]` of the requests;
            None knows nothing of them.

        Returns:
          `[B, vector_dim]` float32, or `[B, interests, vector_dim]` if `interests` is above 1.
        """
        size = history_size(history_rows, history_ages, tf.shape(users)[0])
        if user_features is not None:
            users = tf.where(users < self.spec.n_users, users, -1)
        if hide_size:
            size = tf.zeros_like(size)
        known = {
            "user": users,
            "history_vector": history_vectors,
            "history_item": history_items,
            "history_row": history_rows,
            "history_age": history_ages,
            "history_size": size,
        }
        user = self.user_tower(known, training=training)
        return self._user_side(user, users, size, user_features, context)

    def position_vectors(
        self, users, history_vectors, history_items, history_rows, history_ages, training=None
    ) -> tf.Tensor:
        """Computes the user side of the score after each event of the histories.

        The user tower must encode positions; see `SequenceTower`.

        Args:
          users, history_vectors, history_items, history_rows, history_ages: as in `user_vectors`.

        Returns:
          `[H, vector_dim]` float32, or `[H, interests, vector_dim]` if `interests` is above 1.
        """
        size = history_size(history_rows, history_ages, tf.shape(users)[0])
        known = {
            "user": users,
            "history_vector": history_vectors,
            "history_item": history_items,
            "history_row": history_rows,
            "history_age": history_ages,
            "history_size": size,
        }
        user = self.user_tower.positions(known, training=training)
        users, size = (tf.gather(values, history_rows) for values in (users, size))
        return self._user_side(user, users, size)

    def _user_side(self, user, users, size, user_features=None, context=None) -> tf.Tensor:
        """Completes outputs `[R, ..., dim]` of the user tower, of user rows and sizes `[R, 2]`."""
        several = [] if self.interests == 1 else [self.interests]
        user = checked_output(
            f"TwoTower: user: {type(self.user_tower).__name__}",
            user,
            f"[B, {', '.join(map(str, [*several, self.config.dim]))}]",
            rank=2 + len(several),
            columns=self.config.dim,
        )
        user = tf.cast(tf.ensure_shape(user, [None, *several, self.config.dim]), tf.float32)

        def of_each(values):
            return tf.repeat(values[:, None], self.interests, 1) if several else values

        if self.spec.user_side is not None:
            stored = user_features is None
            user += of_each(self.user_side(users) if stored else self.user_side.of(*user_features))
        if self.spec.context_side is not None:
            given = neutral_context(self.spec.context_side) if context is None else context
            user += of_each(self.context_side.of(*map(tf.convert_to_tensor, given)))
        parts = [self.scale * user]
        if self.spec.feature_names:
            parts.append(self.user_trend(tf.concat([user, of_each(size)], -1)))
        return tf.concat([*parts, tf.ones_like(user[..., :1])], -1)

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Computes the unmasked scores `[B, C]` float32 of a batch of `Interactions.batches`.

        The score of a self-pair (`self_pairs`) leaves the item itself out of the history.
        """
        users, items, fused, history = candidate_vectors(self, batch, training)
        scores = best_interest(users, lambda one: tf.matmul(one, items, transpose_b=True))
        if self.scores_repeats:
            return repeated_scores(self, batch, scores, history)
        if "self_pairs" in batch and self.reads_history:
            past = {} if self.spec.event_side is None else {"history_vector": history}
            own = self.scale * self.user_tower.self_scores(fused, {**batch, **past})
            scores = tf.tensor_scatter_nd_sub(scores, batch["self_pairs"], own)
        return scores

    def compute_loss(self, batch, training=False) -> tf.Tensor:
        """Computes the loss; in training plus L2 of the ids, alignment and distillation.

        Raises:
          InputError: the model cannot be trained on these examples.
        """
        self.check_batch(batch)
        own, marked = parts_of(batch)
        scored = ScoredBatch(self, own, training)
        others = {name: ScoredBatch(self, part, training) for name, part in marked.items()}
        objective = self.objective_for(own)
        if isinstance(objective, Joint):
            parts = {name: others.get(name, scored) for name in objective.terms}
            losses = {
                name: term.of_model(self, parts[name].batch)
                if isinstance(term, AuxiliaryLoss)
                else parts[name].loss(term)
                for name, term in objective.terms.items()
            }
            loss = self.joined(objective, losses, {name: part.rows for name, part in parts.items()})
        else:
            loss = scored.loss(objective)
        added = 0.0
        if training:
            read = [one.touched for one in (scored, *others.values())]
            every = any(rows is None for rows in read)
            touched = None if every else read[0] if not others else tf.unique(tf.concat(read, 0))[0]
            added = added_losses(self, scored.batch, touched)
        return self.tracked(loss, added, scored.rows)

    def objective_for(self, batch) -> Objective | Joint:
        """Returns the chosen loss, or the default for the kind of examples."""
        if self.objective is not None:
            return self.objective
        return CatalogueSquared() if "self_pairs" in batch else self._resolved_single("softmax")

    def _resolved_single(self, loss):
        if loss == "softmax":
            half = self.tower.compute_dtype == "bfloat16"
            return CatalogueSoftmax("bfloat16" if half else "float32")
        return super()._resolved_single(loss)

    def _resolved_term(self, name, loss):
        loss = self._resolved_single(loss) if loss == "softmax" else loss
        return super()._resolved_term(name, loss)

    def _prepare(self, term) -> None:
        term.prepare(self)

    def _take(self, objective) -> None:
        if not self.config.alignment and hasattr(self, "content_view"):
            aligned = isinstance(objective, Joint) and any(
                isinstance(term, ContentAlignment) for term in objective.terms.values()
            )
            if not aligned:  # a variable of no loss has no gradient
                del self.content_view
        super()._take(objective)

    def check_batch(self, batch) -> None:
        """Raises InputError if the model cannot be trained on batches with these fields."""
        check_batch(self, batch)

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        """Returns a function: user rows `[B]` -> scores `[B, n_items]` float32.

        It is a `DotProductScorer`, with its vectors, unless repeated events count or users have
        several vectors.

        Args:
          state: histories and item features; its vocabularies must be those of the model.
        """
        self.check(state.events)
        return tower_scorer(self, state)

    def serving(
        self, state: State, precision: str = "float32", explain: bool = False
    ) -> DotProductServing | RepeatServing | InterestServing:
        """Returns the scoring graph to export, with all tables stored in `precision`."""
        side = stored_user_side(self, precision)
        # Trends are matched with the size and the recency of the history.
        reads_ages = self.reads_history or bool(self.spec.feature_names)
        return tower_serving(self, side, state, precision, explain, reads_ages)

    def explainer(self, state: State) -> PairScorer:
        """Returns what splits the scores of a state into shares, for `evaluation.explain`."""
        return PairScorer(self, state)

    def check(self, events: Interactions) -> None:
        """Raises InputError if the vocabularies of `events` are not those of the model.

        Also if `events` lack columns that the model reads; columns are matched by name.
        """
        check_vocabularies(self.spec, events, reads_user_ids=self.reads_user_ids)
        check_features(self.spec, events)
        self.check_weights()
