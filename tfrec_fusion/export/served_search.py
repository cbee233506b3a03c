"""Answers the signature `search`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.export.merged import MOST_COLUMNS, Merged, joined, parted, separator
from tfrec_fusion.export.merging import Merging
from tfrec_fusion.export.search import Search
from tfrec_fusion.export.signatures.tensors import COUNT, QUERY, QUERY_VECTOR, USER
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.joined_items import JoinedItems
from tfrec_fusion.models.serving.lexical_index import LexicalIndex
from tfrec_fusion.models.serving.query_side import QuerySide
from tfrec_fusion.models.serving.similar_items import SimilarVectors
from tfrec_fusion.rerank.filters import Filters
from tfrec_fusion.rerank.ranking import Ranking
from tfrec_fusion.retrieval.rank_fusion import merged_lists, rank_gains
from tfrec_fusion.retrieval.top_k import padded
from tfrec_fusion.signature import Tensor

Shares = dict[str, dict[str, tf.Tensor]]


class ServedSearch:
    """Ranks items for queries, users and filters.

    Args:
      search: its tables.
      serving: the model's scoring graph.
      users: from user ids `[B]` to user vectors `[B, D]`, from the stored histories.
      filters: the filters of the export.
      blocked: `[N]` float32, -inf for items that nobody gets; None for none.
      merging: how small concurrent requests are batched; None runs each alone.
    """

    def __init__(
        self,
        search: Search,
        serving: CatalogueServing,
        users: Callable[[tf.Tensor], tf.Tensor],
        filters: Filters,
        blocked: tf.Variable | None = None,
        merging: Merging | None = None,
    ):
        self._search, self._serving, self._users = search, serving, users
        self._filters, self._blocked, self._merging = filters, blocked, merging
        inputs = {one.name: tf.TensorSpec(one.sizes, one.dtype, one.name) for one in self.inputs}
        self._lists = {
            name: separator()
            for name, spec in inputs.items()
            if spec.shape.rank == 2 and name != QUERY_VECTOR.name
        }
        if merging is not None:
            specs = {
                name: tf.TensorSpec([None], tf.string, name) if name in self._lists else spec
                for name, spec in inputs.items()
            }
            if search.side is not None:
                specs[QUERY_VECTOR.name] = tf.TensorSpec(
                    [None, search.side.dims], tf.float32, QUERY_VECTOR.name
                )
            self._merged = Merged(self._best_of_rows, specs, merging)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of `search`."""
        own = ((QUERY,) if self._search.reads_text else ()) + (
            (QUERY_VECTOR,) if self._search.side is not None else ()
        )
        return (*own, USER, COUNT, *self._filters.inputs)

    @property
    def count(self) -> int:
        """Number N of items."""
        return self._serving.count

    def best(self, inputs: Mapping[str, tf.Tensor], k, merged: bool = False):
        """The best items for each row of a request.

        Args:
          inputs: input name of `search` -> tensor. Without "query", the graph is without operations
            on texts, unless merged.
          k: int scalar, from 0 to N.
          merged: whether small requests may be merged with concurrent ones.

        Returns:
          Rows `[B, k]` int32, -1 for none, and scores `[B, k]` float32.
        """
        inputs = dict(inputs)
        if merged and self._search.reads_text and QUERY.name not in inputs:
            inputs[QUERY.name] = tf.fill(tf.shape(inputs[USER.name]), "")
        if self._search.side is not None:
            inputs[QUERY_VECTOR.name] = self._vectors(inputs[QUERY_VECTOR.name])
        if not merged or self._merging is None:
            return self._best(inputs, k)
        merging: Merging = self._merging
        rows = tf.shape(inputs[USER.name])[0]
        widest = tf.reduce_max([k, *(tf.shape(inputs[name])[1] for name in self._lists)])

        def together():
            texts = {name: joined(inputs[name], end) for name, end in self._lists.items()}
            found = self._merged(inputs | texts)
            return found["rows"][:, :k], found["scores"][:, :k]

        light = (rows > 0) & (rows <= merging.rows) & (widest <= MOST_COLUMNS)
        return tf.cond(light, together, lambda: self._best(inputs, k))

    def _best_of_rows(self, inputs):
        lists = {name: parted(inputs[name], end) for name, end in self._lists.items()}
        k = tf.minimum(tf.reduce_max(tf.concat([inputs[COUNT.name], [0]], 0)), self.count)
        rows, scores = self._best(inputs | lists, k)
        return {"rows": rows, "scores": scores}

    def _vectors(self, given) -> tf.Tensor:
        """Query vectors `[B, dims]`; 0 for rows of which a number is missing or not finite.

        Raises InvalidArgumentError inside the graph for vectors of another length.
        """
        dims, width = cast(QuerySide, self._search.side).dims, tf.shape(given)[1]
        none = tf.reduce_all(tf.math.is_nan(given))
        text = f"{QUERY_VECTOR.name} must have {dims} numbers, or NaN alone for none. Received:"
        with tf.control_dependencies([tf.debugging.Assert((width == dims) | none, [text, width])]):
            given = tf.identity(given)
        wide = tf.concat([given, tf.zeros([tf.shape(given)[0], dims])], 1)[:, :dims]
        there = tf.reduce_all(tf.math.is_finite(wide), 1, keepdims=True) & (width == dims)
        return tf.where(there, wide, 0.0)

    def shares(self, inputs: Mapping[str, tf.Tensor], k) -> tuple[tf.Tensor, Shares]:
        """What each ranking says of the items that take part, to choose weights by.

        Args:
          inputs: as of `best`.
          k: int scalar, from 0 to N.

        Returns:
          Rows `[B, M]` int32, -1 for none, and fusion -> ranking -> what the ranking adds to the
          item's score at weight 1, `[B, M]` float32.
        """
        inputs = dict(inputs)
        if self._search.side is not None:
            inputs[QUERY_VECTOR.name] = self._vectors(inputs[QUERY_VECTOR.name])
        lists, users, named = self._rankings(inputs, k)
        rows, _ = merged_lists([(one.rows, tf.zeros(tf.shape(one.rows))) for one in lists])
        constant = self._search.config.rank_constant
        found: Shares = {"ranks": {}, "scores": {}}
        for one in lists:
            same = (rows[:, :, None] == one.rows[:, None, :]) & (rows >= 0)[:, :, None]
            gains = rank_gains(one.rows, constant)[:, None, :]
            found["ranks"][one.name] = tf.reduce_sum(tf.where(same, gains, 0.0), 2)
            found["scores"][one.name] = one.scores(rows)
        if self._search.config.user_weight:
            for fusion, by_ranking in found.items():
                by_ranking["user"] = self._of_users(users, named, rows, fusion)
        return rows, found

    def _best(self, inputs: Mapping[str, tf.Tensor], k) -> tuple[tf.Tensor, tf.Tensor]:
        config = self._search.config
        weights, ranks = config.weights, config.fusion == "ranks"
        lists, users, named = self._rankings(inputs, k)
        rows, total = merged_lists(
            [
                (one.rows, rank_gains(one.rows, config.rank_constant, weights[one.name] * ranks))
                for one in lists
            ]
        )
        if not ranks:
            total = tf.add_n([weights[one.name] * one.scores(rows) for one in lists])
        if config.user_weight:
            total += config.user_weight * self._of_users(users, named, rows, config.fusion)
        total = tf.where(rows < 0, -float("inf"), total)
        best, place = tf.math.top_k(total, tf.minimum(k, tf.shape(rows)[1]))
        scores, rows = padded(best, tf.gather(rows, place, batch_dims=1), k)
        return rows, scores

    def _rankings(
        self, inputs: Mapping[str, tf.Tensor], k
    ) -> tuple[list[_Ranked], tf.Tensor | None, tf.Tensor]:
        """The rankings of vectors and words, user vectors `[B, D]`, and who is named `[B]`."""
        search, config = self._search, self._search.config
        users = inputs[USER.name]
        batch, named = tf.shape(users)[0], users != ""
        restrictions = self._filters.restrictions(inputs)
        most = tf.minimum(tf.maximum(k, config.candidates), self.count)
        nothing = tf.fill([batch, most], -1)

        def ranked(items, queries):
            none = tf.fill([batch, 0], -1)
            lists = none, none, tf.zeros([batch], tf.bool)
            return Ranking(items, queries, *lists, restrictions, self._blocked).best(most)[1]

        lists, side, asked = [], search.side, inputs.get(QUERY.name)
        found = self._users(users) if self._reads_users else None
        if side is not None:
            vectors = self._encoded(inputs[QUERY_VECTOR.name], asked)
            there = tf.reduce_any(tf.not_equal(vectors, 0.0), 1)
            queries = side.queries(vectors, found, named)
            rows = tf.cond(
                tf.reduce_any(there), lambda: ranked(side.items, queries), lambda: nothing
            )
            rows = tf.where(there[:, None], rows, -1)
            lists.append(_Ranked("vector", rows, side.items, queries, there))
        index = search.index
        if index is not None and asked is not None:

            def by_words():
                scores = index.queries(asked)
                return ranked(index, scores), scores

            there = asked != ""
            none = nothing, tf.zeros([batch, 0])
            rows, scores = tf.cond(tf.reduce_any(there), by_words, lambda: none)
            lists.append(_Ranked("lexical", rows, index, scores, there))
        return lists, found, named

    @property
    def _reads_users(self) -> bool:
        side = self._search.side
        return self._search.config.user_weight > 0 or (side is not None and side.reads_users)

    def _encoded(self, vectors, asked) -> tf.Tensor:
        """The vectors `[B, dims]`, those of the texts in rows of 0."""
        text = self._search.text
        if text is None or asked is None:
            return vectors
        lacking = tf.reduce_all(tf.equal(vectors, 0.0), 1)
        return tf.cond(
            tf.reduce_any(lacking & (asked != "")),
            lambda: tf.where(lacking[:, None], text(asked), vectors),
            lambda: vectors,
        )

    def _of_users(self, users, named, rows, fusion: str) -> tf.Tensor:
        """What the model's scores add to rows `[B, M]` at weight 1, 0 where nobody is named."""
        constant = self._search.config.rank_constant

        def shares():
            scores = self._serving.scores_of(users, tf.maximum(rows, 0))
            if fusion == "ranks":
                scores = tf.where(rows < 0, scores.dtype.min, scores)
                order = tf.argsort(scores, 1, direction="DESCENDING", stable=True)
                scores = 1 / (constant + 1 + tf.cast(tf.argsort(order, 1), tf.float32))
            return tf.where(named[:, None] & (rows >= 0), scores, 0.0)

        zero = tf.zeros(tf.shape(rows))
        return tf.cond(tf.reduce_any(named), shares, lambda: zero)


class _Ranked(NamedTuple):
    """The best items `[B, C]` of a ranking, -1 for none, and what scores items by its queries."""

    name: str
    rows: tf.Tensor
    items: CatalogueServing | SimilarVectors | JoinedItems | LexicalIndex
    queries: tf.Tensor
    there: tf.Tensor

    def scores(self, rows) -> tf.Tensor:
        """Scores of rows `[B, M]`; 0 without a query, and for items it says nothing of."""

        def scores():
            found = self.items.scores_of(self.queries, tf.maximum(rows, 0))
            return tf.where(self.there[:, None] & (found > -np.inf), found, 0.0)

        zero = tf.zeros(tf.shape(rows))
        return tf.cond(tf.reduce_any(self.there), scores, lambda: zero)
