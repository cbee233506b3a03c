"""Applies business rules in the graph of an export."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.rerank.compiled_rules import CompiledCap, CompiledRules
from tfrec_fusion.rerank.ranking import Ranking, without_gaps
from tfrec_fusion.rerank.restriction import Restriction


class ServedRules(tf.Module):
    """Boosts, blocks, pins and caps, as variables of the graph.

    The list is that of a greedy walk. All pinned items that the request allows count first towards
    the caps, whatever k is, and take their positions. The other items follow, best first, each
    unless a cap forbids it. If these run out early, later pins move up. So the list for a smaller k
    is the beginning of the list for a larger one.

    Args:
      rules: rules compiled for the N items.
    """

    def __init__(self, rules: CompiledRules):
        super().__init__(name="rules")
        count = len(rules.pin_rows)
        own = np.zeros(count, np.float32) if rules.boosts is None else rules.boosts[rules.pin_rows]
        self.has_pins = count > 0
        if self.has_pins:
            self.pin_rows = _constant(rules.pin_rows, "pin_rows")
            self.pin_boosts = _constant(own, "pin_boosts")
            at = np.full(rules.pin_positions.max() + 1, -1, np.int32)
            at[rules.pin_positions] = np.arange(count)
            self.pin_at = _constant(at, "pin_at")
        bias = _bias(rules)
        self.bias = None if bias is None else _constant(bias, "rules_bias")
        self.caps = [_Cap(cap, f"cap_{place}") for place, cap in enumerate(rules.caps)]

    def best(self, ranking: Ranking, k, reranked=None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the k best items of a ranking under the rules, as `Ranking.best`.

        Args:
          ranking: a ranking whose bias is `bias`.
          k: int scalar.
          reranked: reranks the list before pins are inserted; a function (listed, k) -> scores and
            rows, where `listed(width)` returns the best items that the caps allow.
        """
        pinned = tf.zeros([ranking.batch, 0], tf.int32)
        if self.has_pins:
            pinned = tf.tile(self.pin_rows[None], [ranking.batch, 1])
            pinned = tf.where(ranking.allows(pinned), pinned, -1)

        def listed(width):
            return self._capped(ranking, width, pinned) if self.caps else ranking.best(width)

        scores, rows = listed(k) if reranked is None else reranked(listed, k)
        return (
            self._with_pins(ranking, k, pinned, scores, rows) if self.has_pins else (scores, rows)
        )

    def _capped(self, ranking: Ranking, k, pinned):
        """The k best items that the caps allow, with `pinned` counted first.

        Takes the best 2k, drops the items that exceed a cap, and continues with twice as many while
        fewer than k are left. Items whose cap is full are excluded from later steps.
        """

        def step(scores, rows, width, _):
            counts = [cap.counts(tf.concat([pinned, rows], 1)) for cap in self.caps]
            full = [cap.not_full(n) for cap, n in zip(self.caps, counts, strict=True)]
            more_scores, more_rows = ranking.best(width, rows, full)
            kept = self._kept(more_rows, counts)
            exhausted = tf.math.count_nonzero(more_rows >= 0, 1, dtype=tf.int32) < width
            scores = tf.concat([scores, more_scores], 1)
            rows = tf.concat([rows, tf.where(kept, more_rows, -1)], 1)
            scores, rows = without_gaps(scores, rows, k)
            unfinished = tf.reduce_any(~exhausted & (rows[:, -1] < 0))
            most = tf.maximum(width, ranking.items.count)
            return scores, rows, tf.minimum(2 * width, most), unfinished

        nothing = tf.zeros([ranking.batch, 0])
        scores, rows, _, _ = tf.while_loop(
            lambda scores, rows, width, unfinished: unfinished,
            step,
            (nothing, tf.cast(nothing, tf.int32), 2 * k, k > 0),
            shape_invariants=(
                tf.TensorShape([None, None]),
                tf.TensorShape([None, None]),
                tf.TensorShape([]),
                tf.TensorShape([]),
            ),
        )
        return scores, rows

    def _kept(self, rows, counts) -> tf.Tensor:
        """`[B, M]` bool: which of the rows, best first, a greedy walk keeps, given `counts`.

        An item is kept if all its caps have room after the kept items before it. The iteration
        starts with all items kept; each pass settles at least one more position from the left.
        """
        present = rows >= 0
        places = [cap.places(rows) for cap in self.caps]

        def step(kept, _):
            better = present
            for cap, place, count in zip(self.caps, places, counts, strict=True):
                better &= cap.has_room(place, kept, count)
            return better, tf.reduce_any(better != kept)

        return tf.while_loop(lambda kept, changed: changed, step, (present, tf.constant(True)))[0]

    def _with_pins(self, ranking: Ranking, k, pinned, scores, rows):
        """Inserts the pins at their positions into the k best of the ranking."""
        rows_of_all = tf.tile(self.pin_rows[None], [ranking.batch, 1])
        own = ranking.items.scores_of(ranking.users, rows_of_all) + self.pin_boosts
        width = tf.maximum(k, tf.size(self.pin_at))
        pin = tf.pad(self.pin_at, [[0, width - tf.size(self.pin_at)]], constant_values=-1)
        known = tf.maximum(pin, 0)
        is_pin = (pin >= 0) & (tf.gather(pinned, known, axis=1) >= 0)
        # The n-th item of the ranking goes to the n-th position without a pin; position k is empty.
        place = tf.minimum(tf.cumsum(tf.cast(~is_pin, tf.int32), 1, exclusive=True), k)
        scores = tf.pad(scores, [[0, 0], [0, 1]])
        rows = tf.pad(rows, [[0, 0], [0, 1]], constant_values=-1)
        scores = tf.gather(scores, place, batch_dims=1)
        rows = tf.gather(rows, place, batch_dims=1)
        scores = tf.where(is_pin, tf.gather(own, known, axis=1), scores)
        rows = tf.where(is_pin, tf.gather(pinned, known, axis=1), rows)
        return without_gaps(scores, rows, k)


class _Cap(tf.Module):
    """One cap; items without a value have the code `count` and are not capped."""

    def __init__(self, cap: CompiledCap, name: str):
        super().__init__(name=name)
        self.codes = _constant(cap.codes, name)
        self.count, self.at_most = cap.count, cap.at_most

    def counts(self, rows) -> tf.Tensor:
        """Counts the codes of rows `[B, M]` (-1: none): `[B, count + 1]` int32."""
        there = tf.where(rows >= 0)
        codes = tf.gather(self.codes.read_value(), tf.gather_nd(rows, there))
        pairs = tf.stack([tf.cast(there[:, 0], tf.int32), codes], 1)
        shape = [tf.shape(rows)[0], self.count + 1]
        return tf.scatter_nd(pairs, tf.ones_like(codes), shape)

    def not_full(self, counts) -> Restriction:
        """The restriction to items whose code has room left."""
        capped = tf.range(self.count + 1) < self.count
        full = (counts >= self.at_most) & capped
        return Restriction(
            tf.reduce_any(full),
            lambda: ~tf.gather(full, self.codes, axis=1),
            lambda rows: ~tf.gather(full, tf.gather(self.codes.read_value(), rows), batch_dims=1),
        )

    def places(self, rows):
        """The codes of rows `[B, M]`, and the sort order that `has_room` needs to count them."""
        codes = tf.where(
            rows < 0, self.count, tf.gather(self.codes.read_value(), tf.maximum(rows, 0))
        )
        order = tf.argsort(codes, stable=True)
        ordered = tf.gather(codes, order, batch_dims=1)
        first = tf.searchsorted(ordered, ordered)
        return codes, order, first, tf.argsort(order)

    def has_room(self, places, kept, counts) -> tf.Tensor:
        """`[B, M]` bool: whether the cap has room for each item after the kept ones before it."""
        codes, order, first, back = places
        kept = tf.gather(tf.cast(kept, tf.int32), order, batch_dims=1)
        before = tf.cumsum(kept, 1, exclusive=True)
        before -= tf.gather(before, first, batch_dims=1)
        before = tf.gather(before, back, batch_dims=1) + tf.gather(counts, codes, batch_dims=1)
        return (before < self.at_most) | (codes == self.count)


def _constant(values, name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name)


def _bias(rules: CompiledRules) -> np.ndarray | None:
    """The bias on all scores: boosts, and -inf for blocked and pinned items; None if all are 0."""
    if rules.boosts is None and rules.blocked is None and not len(rules.pin_rows):
        return None
    bias = np.zeros(rules.count, np.float32) if rules.boosts is None else rules.boosts.copy()
    if rules.blocked is not None:
        bias[rules.blocked] = -np.inf
    bias[rules.pin_rows] = -np.inf
    return bias
