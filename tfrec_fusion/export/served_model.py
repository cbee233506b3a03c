"""The graph of an export: string ids in, string ids and scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History, Vocabulary
from tfrec_fusion.export.input_checks import checked_concrete, concrete
from tfrec_fusion.export.merged import MOST_COLUMNS, Merged, joined, parted
from tfrec_fusion.export.merging import Merging
from tfrec_fusion.export.served_explanation import ServedExplanation
from tfrec_fusion.export.stored_histories import StoredHistories
from tfrec_fusion.rerank.attributes import Attribute
from tfrec_fusion.rerank.compiled_rules import CompiledRules
from tfrec_fusion.rerank.filters import Filters
from tfrec_fusion.rerank.ranking import Ranking
from tfrec_fusion.rerank.served_rules import ServedRules
from tfrec_fusion.retrieval.row_table import RowTable
from tfrec_fusion.retrieval.stored_items import StoredItems

DEFAULT_K = 100


def _text(name: str, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.string, name=name)


def _signature(*inputs: tf.TensorSpec):
    return tf.function(input_signature=inputs, autograph=False)


class ServedModel(tf.Module):
    """Answers from string ids; see `SIGNATURES` for what each signature takes and gives.

    It holds no Keras object and no constant of the catalogue's size: vectors, histories and item
    ids are variables, and the tables from id to row are filled from the text assets.

    An id that is not in its vocabulary is row -1, as is "". A user's history is the one in the
    request, if that has any id that is not "", with all ages 0; else the baked one, with its ages
    as of the export. Ids of a request that are unknown or repeated change nothing.

    Args:
      user_vectors: the model's user side, `user_vectors(users, history_vectors, history_items,
        history_rows, history_ages) -> [B, D]`; its variables come into the export.
      item_vectors: `[N, D]` float32, the item side as of the export.
      unknown_item: `[D]` float32, the item side of row -1.
      fused_dim: the leading columns of `item_vectors` that histories are made of.
      histories: of all users, items `[H]` and ages `[H]` float32 days in the place of times.
      users, items: files with one id a line, copied into the export.
      attributes: of the items, that `recommend` filters by.
      rules: for `recommend` and `serving_default`, over the N items.
      precision: of the item vectors and the histories, see `StoredItems` and `StoredHistories`.
      explanation: for the signature `explain`, which there is none of without; it reads the same
        variables of the user side.
      merging: of requests to `recommend` and `serving_default` that wait at the same moment; None
        answers each on its own.

    Attributes:
      plain: signature -> function that neither checks nor merges, for callers in this process and
        for converters.
    """

    def __init__(
        self,
        user_vectors: Callable,
        item_vectors: np.ndarray,
        unknown_item: np.ndarray,
        fused_dim: int,
        histories: History,
        users: Path,
        items: Path,
        attributes: Sequence[Attribute] = (),
        rules: CompiledRules | None = None,
        precision: str = "float32",
        explanation: ServedExplanation | None = None,
        merging: Merging | None = None,
    ):
        super().__init__(name="served_model")
        self.items = StoredItems(item_vectors, precision, item_vectors.shape[1] - fused_dim)
        self.unknown_item = tf.Variable(unknown_item, trainable=False, name="unknown_item")
        self.item_ids = tf.Variable(
            Vocabulary.load(items).ids, trainable=False, dtype=tf.string, name="item_ids"
        )
        self.histories = StoredHistories(histories, precision)
        self.user_table, self.item_table = RowTable(users), RowTable(items)
        self.filters = Filters(attributes, users.parent)
        self.rules = None if rules is None else ServedRules(rules)
        self.explanation = explanation
        self.fused_dim = fused_dim
        rows, ages = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
        vectors = tf.TensorSpec([None, fused_dim], tf.float32)
        self.user_tower = _signature(rows, vectors, rows, rows, ages)(user_vectors)
        # What the user side reads has to hang on the module to be saved with it.
        self.user_variables = list(self.user_tower.get_concrete_function().graph.variables)
        flags = tf.TensorSpec([None], tf.bool, name="exclude_seen")
        lists = [_text(name, None, None) for name in ("history", "exclude", "include")]
        self._answer = _signature(
            _text("user_id", None),
            *lists,
            flags,
            tf.TensorSpec([], tf.int32, name="k"),
            self.filters.specs,
        )(self._best)
        asked = [_text("user_id", None), *lists, flags, tf.TensorSpec([None], tf.int32, "k")]
        self._asked = {spec.name: spec for spec in asked} | self.filters.specs
        self._lists = {name for name, spec in self._asked.items() if spec.shape.rank == 2}
        if merging is not None:
            self._merging = merging
            rows = {name: tf.TensorSpec([None], s.dtype, name) for name, s in self._asked.items()}
            self._merged = Merged(self._best_of_rows, rows, merging)
        self.plain = {name: concrete(*one) for name, one in self._specs(self._alone).items()}
        specs = self._specs(self._alone if merging is None else self._together)
        self._signatures = {name: checked_concrete(*one) for name, one in specs.items()}

    @property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signature name -> function, for `tf.saved_model.save`."""
        return dict(self._signatures)

    def _specs(self, best: Callable) -> dict[str, tuple[Callable, dict[str, tf.TensorSpec]]]:
        """Signature name -> its function and its inputs; `best` is `_alone` or `_together`."""

        def serving_default(user_id):
            return best(self._defaults(user_id), min(DEFAULT_K, self.items.count))

        def recommend(**inputs):
            return best(inputs, self._largest(inputs["k"]))

        user, history = {"user_id": _text("user_id", None)}, _text("history", None, None)
        items = {"item_id": _text("item_id", None, None)}
        found = {
            "serving_default": (serving_default, user),
            "recommend": (recommend, self._asked),
            "score": (self.score, user | items),
            "user_vector": (self.user_vector, user | {"history": history}),
            "item_vector": (self.item_vector, {"item_id": _text("item_id", None)}),
        }
        if self.explanation is not None:
            found["explain"] = self.explain, user | {"history": history} | items
        return found

    def _defaults(self, user_id) -> dict[str, tf.Tensor]:
        """The inputs of `recommend` that `serving_default` has not got."""
        batch = tf.shape(user_id)[0]
        found = {"user_id": user_id} | self.filters.neutral(batch)
        found |= {name: tf.fill([batch, 0], "") for name in ("history", "exclude", "include")}
        return found | {"exclude_seen": tf.fill([batch], False), "k": tf.fill([batch], DEFAULT_K)}

    def _largest(self, k) -> tf.Tensor:
        """How many a batch gets: at most all items, and 0 where there is no row."""
        return tf.minimum(tf.reduce_max(tf.concat([k, [0]], 0)), self.items.count)

    def _alone(self, inputs, k) -> dict[str, tf.Tensor]:
        names = ("user_id", "history", "exclude", "include", "exclude_seen")
        filters = {name: inputs[name] for name in self.filters.specs}
        return self._answer(*(inputs[name] for name in names), k, filters)

    def _together(self, inputs, k) -> dict[str, tf.Tensor]:
        """As `_alone`, with the requests that wait, where that is no burden to them."""
        rows = tf.shape(inputs["user_id"])[0]
        widest = tf.reduce_max([k, *(tf.shape(inputs[name])[1] for name in self._lists)])
        light = (rows > 0) & (rows <= self._merging.rows) & (widest <= MOST_COLUMNS)

        def merged():
            texts = {name: joined(inputs[name]) for name in self._lists}
            return {name: value[:, :k] for name, value in self._merged(inputs | texts).items()}

        return tf.cond(light, merged, lambda: self._alone(inputs, k))

    def _best_of_rows(self, inputs) -> dict[str, tf.Tensor]:
        lists = {name: parted(inputs[name]) for name in self._lists}
        return self._alone(inputs | lists, self._largest(inputs["k"]))

    @_signature(_text("user_id", None), _text("item_id", None, None))
    def score(self, user_id, item_id):
        users, _ = self._users(user_id, tf.fill([tf.shape(user_id)[0], 0], ""))
        return {"score": tf.linalg.matvec(self._known_or_not(item_id), users)}

    @_signature(_text("user_id", None), _text("history", None, None))
    def user_vector(self, user_id, history):
        return {"vector": self._users(user_id, history)[0]}

    @_signature(_text("item_id", None))
    def item_vector(self, item_id):
        return {"vector": self._known_or_not(item_id)}

    @_signature(_text("user_id", None), _text("history", None, None), _text("item_id", None, None))
    def explain(self, user_id, history, item_id):
        users, pairs, ages = self._histories(user_id, history)
        past = self._past(pairs)
        rows = self.item_table.lookup(item_id)
        return self.explanation.shares(users, pairs, ages, past, rows, self._known_or_not(item_id))

    def _best(self, user_id, history, exclude, include, exclude_seen, k, filters):
        users, history_pairs = self._users(user_id, history)
        also = exclude_seen & tf.reduce_any(history != "", 1)
        seen, _ = self.histories.of(tf.where(also, self.user_table.lookup(user_id), -1))
        batch = tf.shape(user_id)[0]
        masked = [_as_lists(history_pairs, batch), _as_lists(seen, batch)]
        ranking = Ranking(
            self.items,
            users,
            tf.concat([*masked, self.item_table.lookup(exclude)], 1),
            self.item_table.lookup(include),
            tf.reduce_any(include != "", 1),
            self.filters.restrictions(filters),
            None if self.rules is None else self.rules.bias,
        )
        scores, rows = ranking.best(k) if self.rules is None else self.rules.best(ranking, k)
        ids = tf.where(rows < 0, "", tf.gather(self.item_ids, tf.maximum(rows, 0)))
        return {"item_id": ids, "score": scores}

    @_signature(_text("user_id", None), _text("history", None, None))
    def _users(self, user_id, history) -> tuple[tf.Tensor, tf.Tensor]:
        """User vectors `[B, D]` and the pairs `[P, 2]` (position, item) of the histories in use."""
        users, pairs, ages = self._histories(user_id, history)
        return self.user_tower(users, self._past(pairs), pairs[:, 1], pairs[:, 0], ages), pairs

    def _histories(self, user_id, history) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """User rows `[B]`, and of the histories in use the pairs `[P, 2]` and the ages `[P]`."""
        users = self.user_table.lookup(user_id)
        given = tf.reduce_any(history != "", 1)
        baked, baked_ages = self.histories.of(tf.where(given, -1, users))
        asked = self._distinct_pairs(history)
        pairs = tf.concat([baked, asked], 0)
        ages = tf.concat([baked_ages, tf.zeros(tf.shape(asked)[:1])], 0)
        order = tf.argsort(pairs[:, 0], stable=True)
        return users, tf.gather(pairs, order), tf.gather(ages, order)

    def _past(self, pairs) -> tf.Tensor:
        """The fused vectors `[P, dim]` of the items of histories."""
        return self.items.gather(pairs[:, 1])[:, : self.fused_dim]

    @_signature(_text("ids", None, None))
    def _distinct_pairs(self, ids) -> tf.Tensor:
        """Known ids of `[B, W]` as distinct pairs `[P, 2]` int32, in order of position."""
        rows = self.item_table.lookup(ids)
        known = tf.where(rows >= 0)
        codes = known[:, 0] * self.items.count + tf.cast(tf.gather_nd(rows, known), tf.int64)
        codes = tf.unique(codes).y
        return tf.cast(tf.stack([codes // self.items.count, codes % self.items.count], 1), tf.int32)

    def _known_or_not(self, item_id) -> tf.Tensor:
        """Vectors of item ids of any shape."""
        rows = self.item_table.lookup(item_id)
        vectors = self.items.gather(tf.maximum(rows, 0))
        return tf.where((rows < 0)[..., None], self.unknown_item, vectors)


def _as_lists(pairs, batch) -> tf.Tensor:
    """Pairs `[P, 2]` (position, row), by position, as rows `[B, W]` with -1 at the ends."""
    positions = pairs[:, 0]
    # Not by comparing each pair with each position, which takes gigabytes for thousands of users.
    ones = tf.ones_like(positions, tf.float32)
    counts = tf.cast(tf.math.unsorted_segment_sum(ones, positions, batch), tf.int32)
    columns = tf.range(tf.size(positions)) - tf.gather(tf.cumsum(counts, exclusive=True), positions)
    width = tf.reduce_max(tf.concat([counts, [0]], 0))
    lists = tf.fill([batch, width], -1)
    return tf.tensor_scatter_nd_update(lists, tf.stack([positions, columns], 1), pairs[:, 1])
