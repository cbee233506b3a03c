"""A recommender whose items are also found by queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.embeddings.encoders.base import unit_rows
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.search import PREFIX
from tfrec_fusion.features.state import State
from tfrec_fusion.layers import FrozenVectors
from tfrec_fusion.layers.draws import add_draws, next_seed
from tfrec_fusion.losses import InBatchSoftmax
from tfrec_fusion.models.building import checked, vector_names
from tfrec_fusion.models.data_model import RetrievalModel
from tfrec_fusion.models.explained.pair_scorer import PairScorer
from tfrec_fusion.models.objectives.pairs import pair_vectors
from tfrec_fusion.models.search_model_config import SearchModelConfig
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.joined_items import JoinedItems
from tfrec_fusion.models.serving.query_side import TowerQueries
from tfrec_fusion.models.towers.query_tower import QueryTower
from tfrec_fusion.models.two_tower import TwoTower
from tfrec_fusion.models.two_tower_batches import example_batch
from tfrec_fusion.retrieval.stored_items import StoredItems

_FIELDS = ("query_vector", "item", "user", "history")


@keras.utils.register_keras_serializable("tfrec_fusion")
class SearchModel(RetrievalModel):
    """A `TwoTower` with a `QueryTower` into the space of its item vectors: one index for both.

    It recommends, evaluates and exports as the two-tower does; its exports also `search` by the
    query tower. With `vectors`, items have the columns of their texts' vectors beside those of the
    two-tower, so that a search finds what a query says from the start, and training adds which
    words mean the same and what is liked. The loss of searches is a softmax with in-batch
    negatives and log-q correction.

    Train it on batches of `search_examples`, which leaves a trained two-tower as it is; or with
    `frozen=False` on `joint_examples`, which adds the losses of interactions and searches. Items
    have their trends as of `events`.

    Args:
      recommender: the two-tower, trained or not; the model holds it, not a copy.
      events: the training events, which tell warm items, trends and the items' vectors; None in
        `from_config`.
      **options: see `SearchModelConfig`; `query_dims` may be left out with `vectors`.

    Raises:
      InputError: an unknown option or value, a two-tower of repeated events, vectors that the
        catalogue lacks, or sizes that disagree.

    Example:
      >>> found = SearchModel(model, split.train, query_dims=4)
      >>> frame = pd.DataFrame({"query": ["red thing", "lamp"], "item_id": ["i3", "i4"],
      ...                       "timestamp": 1.71e9})
      >>> searches = tff.data.SearchEvents.from_frame(frame, split.train.catalogue)
      >>> batches = tff.examples.search_examples(searches.with_vectors(np.eye(2, 4)), split.train)
      >>> found.compile(tff.optimizers.adam(1e-2, steps=2))
      >>> history = found.fit(batches, epochs=2, verbose=0)
    """

    def __init__(
        self,
        recommender: TwoTower,
        events: Interactions | None = None,
        *,
        name: str | None = None,
        **options,
    ):
        super().__init__(name)
        two_tower = isinstance(recommender, TwoTower) and recommender.spec.repeats == "first"
        if not two_tower or recommender.interests > 1:
            raise InputError(
                "SearchModel: recommender must be a TwoTower of events with repeats='first' and "
                "one vector for a user, whose score is one dot product. Received: "
                f"{type(recommender).__name__}"
            )
        texts = None if events is None else _texts(events, options.get("vectors"))
        if texts is not None:
            options.setdefault("query_dims", texts.shape[1])
        self.config = checked("SearchModel", SearchModelConfig, options)
        self.spec, self.recommender = recommender.spec, recommender
        self.sign(recommender.reads_user_ids)
        dims, dim = self.config.query_dims, recommender.vector_dim
        columns = 0 if self.config.vectors is None else dims
        hidden, reads_users = self.config.hidden, self.config.reads_users
        self.query_tower = QueryTower(dim, columns, hidden, reads_users, name="query_tower")
        n_items, n_features = self.spec.n_items, len(self.spec.feature_names)
        if columns:
            self.texts = FrozenVectors(n_items, columns, dtype="float32", name="texts")
        self.hides_users = self.config.reads_users and self.config.user_dropout > 0
        if self.hides_users:
            self.draws = add_draws(self)
        self.item_features = self.add_weight(
            "item_features", (n_items, n_features), initializer="zeros", trainable=False
        )
        self.is_warm = self.add_weight(
            "is_warm", (n_items,), tf.bool, initializer="ones", trainable=False
        )
        self.search_loss = keras.metrics.Mean("search_loss")
        self.softmax = InBatchSoftmax(name="softmax")
        self.query_vectors(tf.zeros([1, dims]), tf.zeros([1, dim]), tf.zeros([1], tf.bool))
        self(example_batch(self.spec))
        if events is not None:
            recommender.check(events)
            state = State.of(events)
            self.item_features.assign(state.item_features(self.spec)[0])
            self.is_warm.assign(state.seen)
        if texts is not None:
            if texts.shape != (n_items, columns):
                raise InputError(
                    f"SearchModel: query_dims must be that of the vectors "
                    f"{self.config.vectors!r}, {texts.shape[1]}. Received: {dims}"
                )
            self.texts.assign(texts, np.ones(n_items, bool))

    @property
    def explains(self) -> bool:
        """Whether scores can be split into shares."""
        return self.recommender.explains

    @property
    def reads_user_ids(self) -> bool:
        """Whether the score depends on the user's id."""
        return self.recommender.reads_user_ids

    @property
    def refreshes(self) -> bool:
        """Whether newer events change the scores without retraining."""
        return self.recommender.refreshes

    @property
    def trainable_weights(self):
        """Those of the query tower alone if the recommender is frozen."""
        return (
            self.query_tower.trainable_weights if self.config.frozen else super().trainable_weights
        )

    def _resolved_objective(self, loss, weights=None) -> None:
        if loss is not None or weights is not None:
            raise InputError(
                "SearchModel: compile: the loss of searches is a softmax with in-batch negatives; "
                f"leave loss out. Received: {weights if loss is None else loss!r}"
            )

    @property
    def metrics(self):
        """The metrics; those of the same name as the recommender's are for both together."""
        own = [self.mean_minimised, self.mean_loss, self.examples, self.search_loss]
        return [*self.recommender.metrics, *own]

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Computes the scores `[B, C]` float32 of a batch of interactions, as the two-tower."""
        return self.recommender(batch, training=training)

    def query_vectors(self, vectors, users, known) -> tf.Tensor:
        """Computes queries, whose products with the items' columns are their scores.

        Args:
          vectors: `[B, dims]` vectors of the queries.
          users: `[B, D]` user vectors of the recommender.
          known: `[B]` bool, whether the row has a user.

        Returns:
          `[B, D]` float32, or with `vectors` `[B, D + dims]`: then the columns of an item are those
          of the recommender's item vectors, and its text's vector scaled to length 1.
        """
        return self.query_tower({"query": vectors, "user": users, "known": known})

    def compute_loss(self, batch, training=False) -> tf.Tensor:
        """Computes the loss of searches, and of interactions if the batch holds some.

        Raises:
          InputError: the model cannot be trained on these examples.
        """
        self.check_batch(batch)
        searches, interactions = _parts(batch)
        state, changes = (self.item_features, self.is_warm), training and not self.config.frozen
        users, items, targets, found = pair_vectors(
            self.recommender, searches, changes, state, queued=False
        )
        if self.config.vectors is not None:
            items = tf.concat([items, self.texts(found[: tf.shape(items)[0]])[0]], 1)
        known = searches["user"] >= 0
        if training and self.hides_users:
            drawn = tf.random.stateless_uniform(tf.shape(known), next_seed(self.draws))
            known &= drawn >= self.config.user_dropout
        queries = self.query_vectors(searches["query_vector"], users, known)
        loss = self.softmax(
            queries, items, log_q=targets.log_q, positive_index=targets.target[:, 1]
        )
        rows = tf.size(searches["user"])
        self.search_loss.update_state(loss, rows)
        if not interactions:
            return self.tracked(loss, 0.0, rows)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        other = self.recommender.compute_loss(interactions, training) * replicas
        loss *= self.config.search_weight
        return self.tracked(other + loss, 0.0, tf.size(interactions["user"]))

    def check_batch(self, batch) -> None:
        """Raises InputError if the model cannot be trained on batches with these fields."""
        searches, interactions = _parts(batch)
        missing = [name for name in _FIELDS if name not in searches]
        if missing:
            raise InputError(
                f"SearchModel: the batches have no {missing[0]!r}; pass batches of "
                f"search_examples(searches, events). Received: {sorted(batch)}"
            )
        dims = searches["query_vector"].shape[-1]
        if dims != self.config.query_dims:
            raise InputError(
                f"SearchModel: 'query_vector' has {dims} columns, and the model was built for "
                f"query_dims={self.config.query_dims}; encode queries by one encoder"
            )
        if interactions and self.config.frozen:
            raise InputError(
                "SearchModel: batches of joint_examples train the recommender, which is frozen; "
                f"pass frozen=False, or search_examples alone. Received: {sorted(batch)}"
            )
        if interactions:
            self.recommender.check_batch(interactions)

    def vector_tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns name -> values and mask of the recommender's frozen vectors."""
        return self.recommender.vector_tables()

    def check(self, events: Interactions) -> None:
        """Raises InputError if the recommender cannot score the events."""
        self.recommender.check(events)
        self.check_weights()

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        """Returns the recommender's scorer: user rows `[B]` -> scores `[B, n_items]` float32."""
        return self.recommender.scorer(state)

    def explainer(self, state: State) -> PairScorer:
        """Returns what splits the recommender's scores into shares."""
        return self.recommender.explainer(state)

    def serving(
        self, state: State, precision: str = "float32", explain: bool = False
    ) -> CatalogueServing:
        """Returns the recommender's scoring graph, with the query tower."""
        serving = cast(DotProductServing, self.recommender.serving(state, precision, explain))
        items: CatalogueServing | JoinedItems = serving
        if self.config.vectors is not None:
            texts = self.texts.matrix.numpy()
            items = JoinedItems([serving.items, StoredItems(texts, precision)])
        dims, reads_users = self.config.query_dims, self.config.reads_users
        serving.query_side = TowerQueries(items, self.query_vectors, dims, reads_users)
        return serving

    def get_config(self):
        recommender = keras.saving.serialize_keras_object(self.recommender)
        return {"name": self.name, "recommender": recommender, **self.config.model_dump()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        recommender = keras.saving.deserialize_keras_object(
            config.pop("recommender"), custom_objects
        )
        return cls(recommender, **config)


def _texts(events: Interactions, name: str | None) -> np.ndarray | None:
    """Vectors `[n_items, dims]` of the catalogue, of length 1 or 0; None without a name."""
    if name is None:
        return None
    found = events.catalogue.vectors[vector_names("SearchModel", events.catalogue, [name])[0]]
    values = np.where(np.asarray(found.mask, bool)[:, None], found.values, 0)
    return unit_rows(values)


def _parts(batch: Mapping) -> tuple[dict, dict]:
    """The fields of the searches, and those of the interactions of a joint batch."""
    marked = {n.removeprefix(PREFIX): v for n, v in batch.items() if n.startswith(PREFIX)}
    if not marked:
        return dict(batch), {}
    return marked, {n: v for n, v in batch.items() if not n.startswith(PREFIX)}
