"""The graph of an exported recommender: string ids in, string ids and scores out."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History, Vocabulary
from tfrec_fusion.export.audience import Audience
from tfrec_fusion.export.history_ages import history_ages
from tfrec_fusion.export.merged import MOST_COLUMNS, Merged, joined, parted, separator
from tfrec_fusion.export.merging import Merging
from tfrec_fusion.export.saving import variables_of
from tfrec_fusion.export.search import Search, search_semantics
from tfrec_fusion.export.semantics import (
    CATALOGUE_SEMANTICS,
    FIRST_SEMANTICS,
    REPEATED_SEMANTICS,
    RERANKED_SEMANTICS,
    STEP_SEMANTICS,
    feature_semantics,
    history_semantics,
    similar_semantics,
)
from tfrec_fusion.export.served_search import ServedSearch
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.recommend import REPEATED_INPUTS, REQUEST_INPUTS
from tfrec_fusion.export.signatures.tensors import COUNT, HISTORY_AGE, neutral_inputs
from tfrec_fusion.export.stored_histories import StoredHistories
from tfrec_fusion.models.explained.served_explanation import ServedExplanation
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.later_items import later_items
from tfrec_fusion.models.serving.similar_items import SimilarItems
from tfrec_fusion.rerank.attributes import Attribute
from tfrec_fusion.rerank.compiled_rules import CompiledRules
from tfrec_fusion.rerank.filters import Filters
from tfrec_fusion.rerank.ranking import Ranking
from tfrec_fusion.rerank.reranking import Reranking
from tfrec_fusion.rerank.served_rules import ServedRules
from tfrec_fusion.retrieval.row_table import RowTable
from tfrec_fusion.signature import Signature, Tensor

_BLOCK = 1024  # users
_LISTS = tuple(one.name for one in REQUEST_INPUTS if one not in (HISTORY_AGE, COUNT))


def _text(name: str, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.string, name=name)


def _signature(*inputs: tf.TensorSpec):
    return tf.function(input_signature=inputs, autograph=False)


class ServedModel(tf.Module):
    """Recommends and scores items by string ids; its signatures are `CATALOGUE_SIGNATURES`.

    It holds no Keras object and no constant of the catalogue's size: vectors, histories and item
    ids are variables, and the lookup tables from id to row are filled from text assets.

    Unknown ids and "" get row -1. If the request's history holds any id other than "", it is used
    with the ages of the request (with `steps`: 0 for the last, 1 for the one before, and so on),
    else the stored history with its ages as of the export. Unknown ids in a request are ignored,
    and so are repeated ones unless repeated events count; the oldest of them counts.

    Args:
      serving: the model over rows of users and items; its variables are saved in the export.
      histories: of all users: items `[H]` and, as times, ages `[H]` float32 in days or steps; with
        the rows of `serving.events`, if the model reads features of events.
      users, items: files with one id a line, copied into the export.
      attributes: item attributes that `recommend` filters by.
      rules: rules over the N items for the signatures `RANKED`.
      precision: precision of the stored histories; see `StoredHistories`.
      merging: how concurrent requests to the signatures `RANKED` are batched; None runs each alone.
      signatures: signature classes; those whose `is_offered` is False are left out.
      reranking: rerankers of the lists of the signatures `RANKED`.
      similar: answers the signature `similar`; None for none.
      audience: whether to store the users' vectors for the signature `audience`.
      search: the tables of the signature `search`; None for none.
      repeats: with "all", repeated events count: items of the history are recommended too, unless
        `exclude_seen` is True, and repeated ids of a requested history count.
      steps: whether ages are numbers of later events instead of days.

    Attributes:
      described: `Signature` of each of its signatures.
      audience: answers the signature `audience`; None for none.
      searching: answers the signature `search`; None for none.
      repeats: whether repeated events count.
      plain: signature -> function without shape checks and request merging, for callers in this
        process and for converters.
    """

    ranks_catalogue = True

    def __init__(
        self,
        serving: CatalogueServing,
        histories: History,
        users: Path,
        items: Path,
        attributes: Sequence[Attribute] = (),
        rules: CompiledRules | None = None,
        precision: str = "float32",
        merging: Merging | None = None,
        signatures: Sequence[type[ServedSignature]] = CATALOGUE_SIGNATURES,
        reranking: Reranking | None = None,
        repeats: str = "first",
        steps: bool = False,
        similar: SimilarItems | None = None,
        audience: bool = False,
        search: Search | None = None,
    ):
        super().__init__(name="served_model")
        self.repeats, self._steps = repeats == "all", steps
        self.serving = serving
        self.item_ids = tf.Variable(
            Vocabulary.load(items).ids, trainable=False, dtype=tf.string, name="item_ids"
        )
        packed = not self.repeats and not serving.reads_order
        self.histories = StoredHistories(histories, precision, packed)
        self.user_table, self.item_table = RowTable(users), RowTable(items)
        self.filters = Filters(attributes, users.parent)
        self.rules = None if rules is None else ServedRules(rules)
        self._reranking = reranking
        rows, ages = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
        features = {
            tensor.name: tf.TensorSpec(tensor.sizes, tensor.dtype, tensor.name)
            for tensor in self.feature_inputs
        }
        more = [features] if features else []
        if serving.events is None:
            self._user_side = _signature(rows, rows, rows, ages, *more)(serving.users)
        else:

            def user_side(users, items, positions, ages, events, given=None):
                return serving.users(users, items, positions, ages, given, events)

            self._user_side = _signature(rows, rows, rows, ages, rows, *more)(user_side)
        self.audience: Audience | None = None
        if audience:
            vectors, apart = self._all_users(len(histories.lengths))
            self.audience = Audience(vectors, histories, users, self.count, precision, apart)
        self.similar = similar
        if similar is not None or search is not None:
            blocked = None if rules is None else rules.blocked
            self.blocked = None if blocked is None else _blocked(blocked, self.count)
        texts = _text("user_id", None), _text("history", None, None)
        given = {
            tensor.name: tf.TensorSpec(tensor.sizes, tensor.dtype, tensor.name)
            for tensor in self._of_users
        }
        self._users = _signature(*texts, given)(self._user_vectors)
        self._asked = {
            tensor.name: tf.TensorSpec(tensor.sizes, tensor.dtype, tensor.name)
            for tensor in self.request_inputs
        }
        known = {} if serving.requested is None else serving.requested.choices
        self._between = {
            name: separator(known.get(name, ()))
            for name, spec in self._asked.items()
            if spec.shape.rank == 2
        }
        filters = {tensor.name: self._asked[tensor.name] for tensor in self.filters.inputs}
        lists = [self._asked[name] for name in _LISTS]
        k = tf.TensorSpec([], tf.int32, name="k")
        self._answer = _signature(*lists, k, filters, given)(self._best)
        self.search = search
        self.searching: ServedSearch | None = None
        if search is not None:
            self.searching = ServedSearch(
                search, serving, self._users_of, self.filters, self.blocked, merging
            )
        if merging is not None:
            self._merging = merging
            rows = {
                name: tf.TensorSpec([None], tf.string if name in self._between else s.dtype, name)
                for name, s in self._asked.items()
            }
            self._merged = Merged(self._best_of_rows, rows, merging)
        offered = [one for one in signatures if one.is_offered(self)]
        alone = {one.name: one(self) for one in offered}
        together = {
            one.name: one(self, merged=True) if one.merges and merging else alone[one.name]
            for one in offered
        }
        self.described: tuple[Signature, ...] = tuple(one.described for one in alone.values())
        self.plain = {name: one.concrete(checked=False) for name, one in alone.items()}
        self._signatures = {name: one.concrete(checked=True) for name, one in together.items()}
        # Variables are saved only if they are attributes of the module.
        self.read_variables = variables_of(self.plain.values())

    @property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name -> function, for `tf.saved_model.save`."""
        return dict(self._signatures)

    @property
    def count(self) -> int:
        """Number of items N."""
        return self.serving.count

    @property
    def has_vectors(self) -> bool:
        """Whether a score is the dot product of a user vector and an item vector."""
        return self.serving.has_vectors

    @property
    def feature_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of a request that give features; empty if the model reads none."""
        return () if self.serving.requested is None else self.serving.requested.inputs

    @property
    def age_inputs(self) -> tuple[Tensor, ...]:
        """The input of a request that gives the ages of its history; empty if none are read."""
        return (HISTORY_AGE,) if self.serving.reads_ages else ()

    @property
    def request_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of `recommend`."""
        own = REPEATED_INPUTS if self.repeats else REQUEST_INPUTS
        own = tuple(one for one in own if one != HISTORY_AGE or self.serving.reads_ages)
        return (*own, *self.filters.inputs, *self.feature_inputs)

    @property
    def _of_users(self) -> tuple[Tensor, ...]:
        """The inputs, beside the user and the history, that describe a user."""
        return (*self.age_inputs, *self.feature_inputs)

    @property
    def explanation(self) -> ServedExplanation | None:
        """Splits scores into shares of the model's inputs; None if the export has none."""
        return self.serving.explanation

    @property
    def semantics(self) -> tuple[str, ...]:
        """What the answers of all signatures mean, as sentences for the model card."""
        seen = REPEATED_SEMANTICS if self.repeats else FIRST_SEMANTICS
        given = feature_semantics(self.serving.requested, self.serving.events)
        reranked = () if self._reranking is None else RERANKED_SEMANTICS
        steps = STEP_SEMANTICS if self._steps else ()
        similar = similar_semantics(self.similar)
        ages = history_semantics(self.serving.reads_ages)
        search = search_semantics(self.search)
        return seen + CATALOGUE_SEMANTICS + ages + steps + given + reranked + similar + search

    def most(self, k) -> tf.Tensor:
        """Length of the lists of a batch with `k` `[B]`: the largest k, at most N; 0 if B is 0."""
        return tf.minimum(tf.reduce_max(tf.concat([k, [0]], 0)), self.count)

    def best(self, inputs, k, merged: bool = False) -> dict[str, tf.Tensor]:
        """The best items for each row of a request.

        Args:
          inputs: input name of `recommend` -> tensor.
          k: int scalar, from 0 to N.
          merged: whether small requests may be merged with concurrent ones.

        Returns:
          "item_id" `[B, k]` string and "score" `[B, k]` float32.
        """
        return self._together(inputs, k) if merged else self._alone(inputs, k)

    def _alone(self, inputs, k) -> dict[str, tf.Tensor]:
        filters = {tensor.name: inputs[tensor.name] for tensor in self.filters.inputs}
        given = {tensor.name: inputs[tensor.name] for tensor in self._of_users}
        return self._answer(*(inputs[name] for name in _LISTS), k, filters, given)

    def _together(self, inputs, k) -> dict[str, tf.Tensor]:
        """Like `_alone`, merged with concurrent requests if this one is small enough."""
        rows = tf.shape(inputs["user_id"])[0]
        widest = tf.reduce_max([k, *(tf.shape(inputs[name])[1] for name in self._between)])
        light = (rows > 0) & (rows <= self._merging.rows) & (widest <= MOST_COLUMNS)

        def merged():
            texts = {n: joined(inputs[n], between) for n, between in self._between.items()}
            return {name: value[:, :k] for name, value in self._merged(inputs | texts).items()}

        return tf.cond(light, merged, lambda: self._alone(inputs, k))

    def _best_of_rows(self, inputs) -> dict[str, tf.Tensor]:
        lists = {
            n: parted(inputs[n], between, self._asked[n].dtype)
            for n, between in self._between.items()
        }
        return self._alone(inputs | lists, self.most(inputs["k"]))

    def users(
        self, user_id, history, given: Mapping[str, tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """User vectors `[B, D]`, and the histories in use as pairs `[P, 2]` (position, item).

        Args:
          user_id, history: `[B]` and `[B, H]` string.
          given: any of `age_inputs` and `feature_inputs` by name.
        """
        return self._users(user_id, history, self._described(user_id, given))

    def _users_of(self, user_id) -> tf.Tensor:
        """User vectors `[B, D]` from the stored histories."""
        return self.users(user_id, tf.fill([tf.shape(user_id)[0], 0], ""))[0]

    def scores(self, users, item_id) -> tf.Tensor:
        """Scores `[B, N]` of user vectors `[B, D]` with item ids `[B, N]`."""
        return self.serving.scores_with_unknown(users, self.item_table.lookup(item_id))

    def retrieval_scores(self, users, item_id) -> tf.Tensor:
        """As `scores`, those of the retrieval model of two stages."""
        return self.serving.retrieval_scores(users, self.item_table.lookup(item_id))

    def item_vectors(self, item_id) -> tf.Tensor:
        """Vectors of item ids of any shape."""
        return self.serving.vectors(self.item_table.lookup(item_id))

    def similar_to(self, item_id, k, filters: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The items most similar to each item.

        Args:
          item_id: `[B]` string.
          k: int scalar, from 0 to N.
          filters: the inputs of the filters, by name.

        Returns:
          "item_id" `[B, k]` string and "score" `[B, k]` float32.
        """
        rows, items = self.item_table.lookup(item_id), cast(SimilarItems, self.similar)
        known = tf.maximum(rows, 0)
        # An item that is similar to none may choose from an empty list.
        none = (rows < 0) | ~items.known(known)
        lists = rows[:, None], -tf.ones_like(rows)[:, None], none
        restrictions = self.filters.restrictions(filters)
        ranking = Ranking(items, items.queries(known), *lists, restrictions, self.blocked)
        return self._named(*ranking.best(k))

    def found(self, inputs, k, merged: bool = False) -> dict[str, tf.Tensor]:
        """The best items for each query, as `best`; `inputs` are those of `search`."""
        rows, scores = cast(ServedSearch, self.searching).best(inputs, k, merged)
        return self._named(scores, rows)

    def explained(
        self, user_id, history, item_id, given: Mapping[str, tf.Tensor] | None = None
    ) -> dict[str, tf.Tensor]:
        """Scores split into shares of the model's inputs; see `ServedExplanation.shares`."""
        given = self._described(user_id, given)
        users, pairs, ages, *events = self._histories(user_id, history, given)
        items, features = self.item_table.lookup(item_id), self._features(given)
        return self.serving.explained(users, pairs, ages, items, features or None, *events)

    def _described(self, user_id, given: Mapping[str, tf.Tensor] | None) -> dict[str, tf.Tensor]:
        """All `_of_users`, with neutral values for those that are not given."""
        return neutral_inputs(self._of_users, tf.shape(user_id)[0]) | dict(given or {})

    def _features(self, given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {tensor.name: given[tensor.name] for tensor in self.feature_inputs}

    def _best(self, user_id, history, exclude, include, exclude_seen, k, filters, given):
        users, history_pairs = self._users(user_id, history, given)
        also = exclude_seen & tf.reduce_any(history != "", 1)
        seen, *_ = self.histories.of(tf.where(also, self.user_table.lookup(user_id), -1))
        batch = tf.shape(user_id)[0]
        past = _as_lists(history_pairs, batch)
        if self.repeats:
            past = tf.where(exclude_seen[:, None], past, -1)
        masked = [past, _as_lists(seen, batch)]
        ranking = Ranking(
            self.serving,
            users,
            tf.concat([*masked, self.item_table.lookup(exclude)], 1),
            self.item_table.lookup(include),
            tf.reduce_any(include != "", 1),
            self.filters.restrictions(filters),
            None if self.rules is None else self.rules.bias,
        )
        reranked = None
        if self._reranking is not None:
            lists = {"history": history, "exclude": exclude, "include": include}
            request = {"user_id": user_id, **lists, "exclude_seen": exclude_seen, **filters}
            reranked = functools.partial(self._reranking.best, ranking, request)
        if self.rules is not None:
            scores, rows = self.rules.best(ranking, k, reranked)
        else:
            scores, rows = ranking.best(k) if reranked is None else reranked(ranking.best, k)
        return self._named(scores, rows)

    def _named(self, scores, rows) -> dict[str, tf.Tensor]:
        ids = tf.where(rows < 0, "", tf.gather(self.item_ids, tf.maximum(rows, 0)))
        return {"item_id": ids, "score": scores}

    def _all_users(self, count: int) -> tuple[np.ndarray, int]:
        """Vectors `[count, D]` of all users, and the number of last columns to store separately."""
        found = []
        for begin in range(0, count, _BLOCK):
            rows = tf.range(begin, min(begin + _BLOCK, count))
            pairs, ages, *events = self.histories.of(rows)
            given = self._features(self._described(rows, None))
            more = [given] if given else []
            side = rows, pairs[:, 1], pairs[:, 0], ages, *events
            found.append(self._user_side(*side, *more).numpy())
        vectors = np.concatenate(found)
        return vectors, vectors.shape[1] - getattr(self.serving, "fused_dim", vectors.shape[1])

    def _user_vectors(self, user_id, history, given):
        users, pairs, ages, *events = self._histories(user_id, history, given)
        features = self._features(given)
        more = (features,) if features else ()
        return self._user_side(users, pairs[:, 1], pairs[:, 0], ages, *events, *more), pairs

    def _histories(
        self, user_id, history, described: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, ...]:
        """User rows `[B]`, and pairs `[P, 2]` and ages `[P]` of the histories in use.

        And, if the model reads features of events, their rows `[P]`: -1 for those of the request.
        """
        users = self.user_table.lookup(user_id)
        given = tf.reduce_any(history != "", 1)
        stored, stored_ages, *stored_events = self.histories.of(tf.where(given, -1, users))
        no_ages = tf.zeros([tf.shape(user_id)[0], 0])
        asked, asked_ages = self._counted(history, described.get(HISTORY_AGE.name, no_ages))
        pairs = tf.concat([stored, asked], 0)
        if self._steps:
            asked_ages = tf.cast(later_items(asked[:, 0], tf.shape(user_id)[0]), tf.float32)
        ages = tf.concat([stored_ages, asked_ages], 0)
        order = tf.argsort(pairs[:, 0], stable=True)
        events = [
            tf.gather(tf.concat([rows, tf.fill(tf.shape(asked)[:1], -1)], 0), order)
            for rows in stored_events
        ]
        return users, tf.gather(pairs, order), tf.gather(ages, order), *events

    @_signature(_text("ids", None, None), tf.TensorSpec([None, None], tf.float32, "ages"))
    def _counted(self, ids, ages) -> tuple[tf.Tensor, tf.Tensor]:
        """Known ids of `[B, W]` that count, as pairs `[P, 2]` int32, and their ages `[P]`.

        The pairs of a position are in order, the latest last.
        """
        rows = self.item_table.lookup(ids)
        known = tf.where(rows >= 0)
        codes = known[:, 0] * self.count + tf.cast(tf.gather_nd(rows, known), tf.int64)
        if self.serving.reads_ages:
            ages = tf.gather_nd(history_ages(ages, tf.shape(ids)[1]), known)
            order = tf.argsort(ages, direction="DESCENDING", stable=True)
            codes, ages = tf.gather(codes, order), tf.gather(ages, order)
        if not self.repeats and self.serving.reads_ages:
            # With one more code at the end, as ONNX has no maximum of nothing.
            codes, of = tf.unique(tf.concat([codes, [-1]], 0))
            oldest = tf.math.unsorted_segment_max(tf.concat([ages, [0.0]], 0), of, tf.size(codes))
            codes, ages = codes[:-1], oldest[:-1]
        elif not self.repeats:
            codes = tf.unique(codes).y
        if not self.serving.reads_ages:
            ages = tf.zeros(tf.shape(codes))
        return tf.cast(tf.stack([codes // self.count, codes % self.count], 1), tf.int32), ages


def _blocked(rows: np.ndarray, count: int) -> tf.Variable:
    """A bias `[count]` that excludes some items for everybody."""
    bias = np.zeros(count, np.float32)
    bias[rows] = -np.inf
    return tf.Variable(bias, trainable=False, name="blocked_items")


def _as_lists(pairs, batch) -> tf.Tensor:
    """Pairs `[P, 2]` (position, row), sorted by position, as rows `[B, W]` padded with -1."""
    positions = pairs[:, 0]
    # Comparing each pair with each position would take gigabytes for thousands of users.
    ones = tf.ones_like(positions, tf.float32)
    counts = tf.cast(tf.math.unsorted_segment_sum(ones, positions, batch), tf.int32)
    columns = tf.range(tf.size(positions)) - tf.gather(tf.cumsum(counts, exclusive=True), positions)
    width = tf.reduce_max(tf.concat([counts, [0]], 0))
    lists = tf.fill([batch, width], -1)
    return tf.tensor_scatter_nd_update(lists, tf.stack([positions, columns], 1), pairs[:, 1])
