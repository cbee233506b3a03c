"""AlphaRec: collaborative filtering from item texts alone, without trained ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.joint import parts_of
from tfrec_fusion.features.state import State
from tfrec_fusion.losses import SampledSoftmax
from tfrec_fusion.models.alpha_rec_config import AlphaRecConfig
from tfrec_fusion.models.building import (
    check_repeats,
    check_vocabularies,
    checked,
    frozen_vectors,
    require_first,
    vector_names,
)
from tfrec_fusion.models.data_model import RetrievalModel
from tfrec_fusion.models.dot_product_scorer import DotProductScorer
from tfrec_fusion.models.graph_spec import GraphSpec
from tfrec_fusion.models.objectives.joint import Joint
from tfrec_fusion.models.objectives.objective import Objective
from tfrec_fusion.models.objectives.targets import Targets
from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
from tfrec_fusion.models.serving.stored_tables import with_stored_vectors
from tfrec_fusion.models.serving.tower_serving import tower_serving
from tfrec_fusion.models.towers.content_tower import ContentTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class AlphaRec(RetrievalModel):
    """Scores users and items by cosine, both made from item texts (Sheng et al., ICLR 2025).

    z_i are an item's text vectors, N_u the items of user u in training, d the degrees of the
    training graph, and A its symmetrically normalised adjacency (edge weight `1 / sqrt(d_u d_i)`):

        e_i = mlp(z_i),  e_u = mlp(mean of z_i over N_u)
        f = (e + A e + ... + A^layers e) / (layers + 1)
        score = cosine(f_u, f_i)

    Train it on pairs; the loss is a softmax over sampled items. No weight belongs to a single user
    or item, so a cold item scores by its text.

    **New histories.** f_u depends only on the user's items: with g_i the sum over l < layers of
    `(A^l e)_i`, `f_u = (e_u + d_u^-1/2 sum over N_u of d_i^-1/2 g_i) / (layers + 1)`. So `scorer`
    and an export compute any user from a history. For the training history this is exactly the f_u
    of the training graph. For another history the user is added beside the graph: items keep the
    vectors and degrees (at least 1) of the training graph. A user without items gets the mean text
    of the training pairs.

    Every step propagates over the whole graph: `2 layers n_edges dim` multiplications forward and
    as many backward. Memory holds the mean texts `[n_users, width]`. Use it for up to about 100,000
    users. It ignores timestamps.

    Args:
      data: the training events, which give pairs, sizes and vectors; or the `GraphSpec` of a saved
        model.
      **options: see `AlphaRecConfig`.

    Raises:
      InputError: an unknown option or value, no vectors, or no event of a known user.

    Example:
      >>> model = AlphaRec(split.train)
      >>> batches = split.train.batches(8192, examples="pairs", history=1)
      >>> model.compile(tff.optimizers.adam(1e-2, steps=20 * len(batches)))
      >>> history = model.fit(batches, epochs=20, verbose=0)
    """

    def __init__(self, data: Interactions | GraphSpec | dict, *, name=None, **options):
        super().__init__(name)
        self.config = checked("AlphaRec", AlphaRecConfig, options)
        self.spec, frozen = _described(data, self.config)
        spec, config = self.spec, self.config
        self.sign(reads_user_ids=True)
        self.tower = ContentTower(
            spec.n_items,
            spec.vector_dims,
            config.hidden,
            config.dim,
            name="content_tower",
            dtype="float32",
        )
        width = self.tower.width
        for attribute, shape, dtype in (
            ("edge_user", (spec.n_edges,), tf.int32),
            ("edge_item", (spec.n_edges,), tf.int32),
            ("user_content", (spec.n_users, width), tf.float32),
            ("mean_content", (width,), tf.float32),
        ):
            weight = self.add_weight(attribute, shape, dtype, "zeros", trainable=False)
            setattr(self, attribute, weight)
        self.softmax = SampledSoftmax(name="softmax")
        self({"user": tf.zeros([1], tf.int32)})
        for key, (values, mask) in frozen.items():
            self.tower.frozen[key].assign(values, mask)
        if isinstance(data, Interactions):
            self._take_graph(data)

    @property
    def vector_dim(self) -> int:
        """Number of columns of `user_vectors` and `item_vectors`."""
        return 2 * self.config.dim

    def propagate(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Propagates texts over the training graph.

        Returns:
          f of all users `[n_users, dim]`, f of all items `[n_items, dim]`, and `d_i^-1/2 g_i`
          `[n_items, dim]`, where an item outside the graph counts as degree 1.
        """
        spec, layers = self.spec, self.config.layers
        user_degree = tf.math.bincount(self.edge_user, minlength=spec.n_users, dtype=tf.float32)
        item_degree = tf.math.bincount(self.edge_item, minlength=spec.n_items, dtype=tf.float32)
        weights = tf.math.rsqrt(
            tf.gather(user_degree, self.edge_user) * tf.gather(item_degree, self.edge_item)
        )
        edges = tf.cast(tf.stack([self.edge_user, self.edge_item], 1), tf.int64)
        graph = tf.SparseTensor(edges, weights, [spec.n_users, spec.n_items])
        users = self.tower(self.user_content)
        items = self.tower(self.tower.content(tf.range(spec.n_items))[0])
        all_users, all_items, passed_on = users, items, tf.zeros_like(items)
        for _ in range(layers):
            passed_on += items
            users, items = (
                tf.sparse.sparse_dense_matmul(graph, items),
                tf.sparse.sparse_dense_matmul(graph, users, adjoint_a=True),
            )
            all_users, all_items = all_users + users, all_items + items
        passed_on *= tf.math.rsqrt(tf.maximum(item_degree, 1.0))[:, None]
        return all_users / (layers + 1), all_items / (layers + 1), passed_on

    def item_vectors(self, rows, features=None, seen=None, training=None) -> tf.Tensor:
        """Computes the item side of the score, `[d_i^-1/2 g_i, f_i / |f_i|]`.

        `user_vectors` reads the first half of the history's items, and is zero in these columns.

        Args:
          rows: `[M]` int32, -1 unknown: zeros.
          features, seen: ignored; they match the signature of `TwoTower.item_vectors`.

        Returns:
          `[M, vector_dim]` float32.
        """
        _, items, passed_on = self.propagate()
        vectors = tf.concat([passed_on, _unit(items)], 1)
        return tf.where((rows >= 0)[:, None], tf.gather(vectors, tf.maximum(rows, 0)), 0.0)

    def user_vectors(
        self,
        users,
        history_vectors,
        history_items,
        history_rows,
        history_ages=None,
        training=None,
    ):
        """Computes the user side of the score, `[0, f_u / |f_u|]`.

        Args:
          users: `[B]` int32; only the number B is used.
          history_vectors: `[H, dim]`, the first half of the history's `item_vectors`.
          history_items: `[H]` int32 item rows, distinct for each user.
          history_rows: `[H]` int32 ascending: the batch row that each history item belongs to.
          history_ages: ignored.

        Returns:
          `[B, vector_dim]` float32.
        """
        n_users = tf.shape(users)[0]
        content, present = self.tower.content(history_items)

        def pooled(values):
            return tf.math.unsorted_segment_sum(values, history_rows, n_users)

        known = pooled(tf.cast(present, tf.float32))[:, None]
        content = tf.where(known > 0, pooled(content) / tf.maximum(known, 1.0), self.mean_content)
        degree = pooled(tf.ones_like(history_rows, tf.float32))[:, None]
        vectors = self.tower(content)
        # With layers=0, history_vectors are zeros.
        vectors += pooled(history_vectors) * tf.math.rsqrt(tf.maximum(degree, 1.0))
        return tf.concat([tf.zeros_like(vectors), _unit(vectors)], 1)

    def call(self, batch: Mapping[str, tf.Tensor], training=None) -> tf.Tensor:
        """Computes scores `[B, n_items]` float32 of training users from the training graph."""
        users, items, _ = self.propagate()
        return tf.matmul(_unit(tf.gather(users, batch["user"])), _unit(items), transpose_b=True)

    def compute_loss(self, batch, training=False) -> tf.Tensor:
        """Computes the loss of a batch of `pair_examples` against negatives shared by the batch.

        It is a softmax, or the chosen objective on the scores `[B, 1 + S]` of the pair's positive
        item and the S negatives; negatives equal to the positive are masked.

        Raises:
          InputError: the batch has no pairs, or pairs with labels.
        """
        self.check_batch(batch)
        users, items, _ = self.propagate()
        users = _unit(tf.gather(users, batch["user"])) / self.config.temperature
        items = _unit(items)
        if self.config.negatives is None:
            sampled = tf.range(self.spec.n_items)
        else:
            sampled = tf.random.uniform([self.config.negatives], 0, self.spec.n_items, tf.int32)
        positives, negatives = tf.gather(items, batch["item"]), tf.gather(items, sampled)
        weight = batch.get("weight")
        if self.objective is None:
            loss = self.softmax(users, positives, negatives, batch["item"], sampled, weight=weight)
        else:
            scores, targets = _sampled_scores(users, positives, negatives, batch["item"], sampled)
            targets = targets._replace(n_items=self.spec.n_items)
            loss = self._loss_of(self.objective, targets, scores, weight)
        return self.tracked(loss, 0.0, tf.size(batch["user"]))

    def _loss_of(self, objective: Objective | Joint, targets, scores, weight) -> tf.Tensor:
        if not isinstance(objective, Joint):
            return objective(targets, scores, weight)
        terms: Any = objective.terms  # `_prepare` refuses an `AuxiliaryLoss`
        losses = {name: term(targets, scores, weight) for name, term in terms.items()}
        return self.joined(objective, losses, dict.fromkeys(losses, tf.shape(scores)[0]))

    def check_batch(self, batch) -> None:
        """Raises InputError if the batches have no pairs, or pairs with labels."""
        objective = self.objective
        terms = objective.terms.values() if isinstance(objective, Joint) else [objective]
        for term in terms:
            if term is not None:
                term.check("AlphaRec", batch)
        if parts_of(batch)[1]:
            raise InputError(
                "AlphaRec: all terms of the loss are computed from the same pairs; pass one "
                f"dataset, without joint_examples. Received: {sorted(batch)}"
            )
        if "user" not in batch or "item" not in batch or "label" in batch:
            raise InputError(
                "AlphaRec: batches must hold unlabelled pairs; make them with examples='pairs' and "
                f"negatives=0 from events without labels. Received: {sorted(batch)}"
            )

    def scorer(self, state: State) -> DotProductScorer:
        """Returns a function: user rows `[B]` -> cosines `[B, n_items]` float32, with its vectors.

        Args:
          state: histories; its catalogue must be that of the model.
        """
        self.check(state.events)
        items = tf.function(self.item_vectors)(tf.range(self.spec.n_items))
        passed_on = items[:, : self.config.dim]

        ints = tf.TensorSpec([None], tf.int32)

        @tf.function(input_signature=[ints, ints, ints])
        def vectors(users, history_items, history_rows):
            history = tf.gather(passed_on, history_items)
            return self.user_vectors(users, history, history_items, history_rows)

        def user_vectors(users: np.ndarray) -> tf.Tensor:
            users = np.asarray(users, np.int32)
            return vectors(users, *state.flat_histories(users)[:2])

        return DotProductScorer(user_vectors, items)

    def serving(self, state: State, precision: str = "float32") -> DotProductServing:
        """Returns the scoring graph to export, with all vectors stored in `precision`."""
        side = with_stored_vectors(self, precision)
        return tower_serving(self, side, state, precision)

    def check(self, events: Interactions) -> None:
        """Raises InputError if the catalogue of `events` is not that of the model."""
        check_vocabularies(self.spec, events, reads_user_ids=False)
        check_repeats(self.spec, events)
        self.check_weights()

    def _take_graph(self, data: Interactions) -> None:
        pairs = data.matrix().tocoo()
        self.edge_user.assign(pairs.row)
        self.edge_item.assign(pairs.col)
        content, present = (t.numpy() for t in self.tower.content(tf.range(self.spec.n_items)))
        matrix = pairs.tocsr()
        total, count = matrix @ content, matrix @ present.astype(np.float32)
        mean = total.sum(0) / max(count.sum(), 1)
        self.mean_content.assign(mean)
        self.user_content.assign(
            np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], mean)
        )


def _sampled_scores(users, positives, negatives, item, sampled) -> tuple[tf.Tensor, Targets]:
    """Scores `[B, 1 + S]` with the positive as first candidate, and the matching `Targets`."""
    first = tf.reduce_sum(users * positives, 1, keepdims=True)
    scores = tf.concat([first, tf.matmul(users, negatives, transpose_b=True)], 1)
    rows = tf.range(tf.size(item))
    same = tf.cast(tf.where(item[:, None] == sampled), tf.int32)
    return scores, Targets(tf.stack([rows, tf.zeros_like(rows)], 1), same + tf.constant([0, 1]))


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(vectors, -1)


def _described(data, config: AlphaRecConfig) -> tuple[GraphSpec, dict]:
    """Returns the spec of `data`, and name -> (values, mask) of the frozen vectors to assign."""
    if isinstance(data, GraphSpec | dict):
        return GraphSpec.model_validate(data), {}
    require_interactions(data, "AlphaRec")
    require_first("AlphaRec", data)
    names = vector_names("AlphaRec", data.catalogue, config.vectors)
    if not names:
        raise InputError(
            "AlphaRec: vectors: the model needs at least one; give the catalogue vectors. "
            "Received: []"
        )
    n_edges = data.matrix().nnz
    if not n_edges:
        raise InputError(
            f"AlphaRec: data: the {len(data)} events include no positive event of a known user"
        )
    frozen = frozen_vectors(data, names, config.whitening_dim)
    spec = GraphSpec(
        n_users=len(data.users),
        n_items=len(data.catalogue),
        users=data.users.fingerprint,
        items=data.catalogue.vocabulary.fingerprint,
        vector_dims={name: values.shape[1] for name, (values, _) in frozen.items()},
        n_edges=n_edges,
    )
    return spec, frozen
