"""Shapley shares of a score, inside the graph of an export."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tfrec_fusion._compat import tf
from tfrec_fusion.models.explained.explained_items import ExplainedItems
from tfrec_fusion.models.explained.shapley import shapley_weights, subsets
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.models.interests import best_interest
from tfrec_fusion.retrieval.stored_items import StoredItems

_MEANINGS = {
    "id": "share of item ids, item biases and, if the model reads them, user ids",
    "features": "share of the declared features of items and users",
    "request": "share of the request's context",
    "context": "share of the item's recency, trend and numbers, and the history's size and recency",
}


class ServedExplanation(tf.Module):
    """Splits scores of pairs into shares of the model's inputs, as `evaluation.explain` does.

    It scores every combination of inputs, only for the pairs and histories of a request.

    Args:
      items: item tables of the catalogue's N items with inputs hidden.
      user_vectors: `HiddenInputs.user_vectors` of the export's user side.
      precision: precision of the tables, see `StoredItems`.

    Attributes:
      inputs: names of the model's inputs that have a share.
    """

    def __init__(self, items: ExplainedItems, user_vectors: Callable, precision: str = "float32"):
        super().__init__(name="explanation")
        self.inputs, self._fused = items.inputs, items.fused
        self._user_vectors = user_vectors
        # In the order of the subsets of hidden inputs, without the empty one.
        self.tables = [
            StoredItems(items.tables[hidden], precision) for hidden in subsets(items.fused)[1:]
        ]
        self.bias = tf.Variable(items.bias, trainable=False, name="item_bias")
        self.neutral = tf.Variable(items.neutral, trainable=False, name="neutral_columns")

    @property
    def size(self) -> int:
        """Bytes that the explanation adds to a version."""
        return sum(v.dtype.size * v.shape.num_elements() for v in self.variables)

    @property
    def meanings(self) -> dict[str, str]:
        """Share -> what it means."""
        return {n: _MEANINGS.get(n, f"share of the vectors {n!r}") for n in self.inputs}

    def shares(
        self, users, pairs, ages, past, rows, items, given=None, events=None
    ) -> dict[str, tf.Tensor]:
        """Computes the scores of each user with some items, and their shares.

        Args:
          users: `[B]` int32 user rows, -1 unknown.
          pairs: `[P, 2]` int32 (position in the batch, item row) of the histories, sorted by
            position.
          ages: `[P]` float32 days.
          past: `[P, dim]` fused vectors of the items of `pairs`, with nothing hidden.
          rows: `[B, N]` int32 rows of the items to score, -1 unknown.
          items: `[B, N, D]` vectors of these items, with nothing hidden.
          given: the features that the requests give; None if the model reads none.
          events: `[P]` int32 rows of the features of the events of `pairs`; None if the model reads
            none.

        Returns:
          Output name -> `[B, N]` float32: "score", the share of each input, and "bias", the score
          with all inputs hidden.
        """
        dim = past.shape[1]
        rows = tf.where(rows < 0, self.bias.shape[0] - 1, rows)
        last, bias = items[..., dim:], self._bias(rows)
        values = []
        for shown in subsets(self.inputs):
            hidden = frozenset(self.inputs) - shown
            # One after the other, as each needs memory for all pairs.
            with tf.control_dependencies(values[-1:]):
                vectors, history = items[..., :dim], past
                if hidden & set(self._fused):
                    table = self._table(hidden)
                    vectors, history = (table(found) for found in (rows, pairs[:, 1]))
                past_of = history, pairs[:, 1], pairs[:, 0], ages
                left = self._user_vectors(users, *past_of, hidden, given, events)
                if hidden:
                    rest = tf.broadcast_to(self.neutral, tf.shape(last))
                    rest = rest if "context" in hidden else last - bias
                    rest = rest if "id" in hidden else rest + bias
                    shown_items = tf.concat([vectors, rest], -1)
                else:
                    shown_items = items
                values.append(best_interest(left, partial(tf.linalg.matvec, shown_items)))
        weights = tf.constant(shapley_weights(self.inputs).T, tf.float32)
        shares = tf.unstack(tf.tensordot(tf.stack(values, 2), weights, 1), len(self.inputs), 2)
        named = {share_output(n): s for n, s in zip(self.inputs, shares, strict=True)}
        return {"score": values[-1], **named, "bias": values[0]}

    def _table(self, hidden: frozenset[str]) -> Callable:
        """Returns a function from rows to fused vectors with some inputs hidden."""
        place = subsets(self._fused).index(hidden & frozenset(self._fused))
        table = self.tables[place - 1]
        # If all inputs are hidden, the table has a single row.
        return lambda rows: table.gather(tf.minimum(rows, table.count - 1))

    def _bias(self, rows) -> tf.Tensor:
        """Returns `[B, N, D - dim]`: the biases in the last column, zeros before."""
        columns = [[0, 0], [0, 0], [self.neutral.shape[0] - 1, 0]]
        return tf.pad(tf.gather(self.bias, rows)[..., None], columns)
