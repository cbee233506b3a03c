"""Runs the rerankers of an export one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.registry import Registry
from tfrec_fusion.rerank.ranking import Ranking, without_gaps
from tfrec_fusion.rerank.reranker import Reranker

RERANKERS = Registry("rerank", {})
# The lowest finite float32 means that there is no item.
_LOWEST_OF_AN_ITEM = np.nextafter(np.finfo(np.float32).min, np.float32(0))


class Reranking:
    """A chain of rerankers.

    Args:
      rerankers: in order; each one gets the output of the previous one.
    """

    def __init__(self, rerankers: Sequence[Reranker]):
        self.rerankers = list(rerankers)

    def fit(self, catalogue: Catalogue, state: State) -> None:
        """See `Reranker.fit`."""
        for reranker in self.rerankers:
            reranker.fit(catalogue, state)

    def best(
        self, ranking: Ranking, request: Mapping[str, tf.Tensor], listed: Callable, k
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the scores and rows `[B, k]` of the reranked list, as `Ranking.best`.

        Args:
          ranking: decides which items a request may get.
          request: the inputs of `recommend`.
          listed: function from a width to the scores and rows of that many best items.
          k: int scalar.
        """
        width = tf.maximum(k, max(reranker.candidates for reranker in self.rerankers))
        scores, rows = listed(tf.minimum(width, ranking.items.count))
        for reranker in self.rerankers:
            rows, scores = _checked(reranker, reranker(rows, scores, request))
        count = ranking.items.count
        known = tf.clip_by_value(rows, 0, count - 1)
        allowed = (rows == known) & ranking.allows(known) & ~_repeated(rows)
        if ranking.bias is not None:
            allowed &= tf.gather(ranking.bias.read_value(), known) > -float("inf")
        return without_gaps(scores, tf.where(allowed, rows, -1), k)


def rerankers_of(given: Sequence[Any]) -> list[Reranker]:
    """Creates rerankers from objects, `"module:Class"` or `{"kind": ..., option: ...}`.

    Raises:
      InputError: an entry is no reranker, or cannot be imported or created.
    """
    if isinstance(given, str | Mapping):
        raise InputError(f"rerank: must be a list of rerankers. Received: {given!r}")
    found = []
    for one in given:
        options = {}
        if isinstance(one, Mapping):
            options = {name: value for name, value in one.items() if name != "kind"}
        kind = one.get("kind") if isinstance(one, Mapping) else one
        made = RERANKERS.resolve(kind)
        if isinstance(kind, str):
            try:
                made = made(**options)
            except TypeError as error:
                raise InputError(f"rerank: {kind!r} cannot be created: {error}") from None
        if not callable(made) or isinstance(made, type) or not hasattr(made, "candidates"):
            raise InputError(
                "rerank: must hold Reranker objects, or module:Class of your own rerankers. "
                f"Received: {one!r}"
            )
        found.append(made)
    return found


def described(given: Sequence[Any]) -> list[Any]:
    """Describes rerankers for the model card: as given, or by the class of an object."""
    return [
        one
        if isinstance(one, str | Mapping)
        else {"object": f"{type(one).__module__}:{type(one).__qualname__}"}
        for one in given
    ]


def _checked(reranker: Reranker, result) -> tuple[tf.Tensor, tf.Tensor]:
    """Casts what a reranker returns; scores that are not finite become the lowest of an item."""
    name = type(reranker).__name__
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise InputError(
            f"rerank: {name} must return rows and scores. Received: {type(result).__name__}"
        )
    rows, scores = tf.cast(result[0], tf.int32), tf.cast(result[1], tf.float32)
    if rows.shape.rank != 2 or not rows.shape.is_compatible_with(scores.shape):
        raise InputError(
            f"rerank: {name} must return rows and scores [B, M] of one shape. "
            f"Received: {rows.shape} and {scores.shape}"
        )
    # In a graph the numbers of items are known only when it runs.
    message = f"rerank: {name} must return rows and scores [B, M] of one shape"
    tf.debugging.assert_equal(tf.shape(rows), tf.shape(scores), message)
    return rows, tf.where(tf.math.is_finite(scores), scores, _LOWEST_OF_AN_ITEM)


def _repeated(rows) -> tf.Tensor:
    """`[B, M]` bool: whether the same row already occurs further left."""
    order = tf.argsort(rows, stable=True)
    ordered = tf.gather(rows, order, batch_dims=1)
    same = tf.pad(ordered[:, 1:] == ordered[:, :-1], [[0, 0], [1, 0]])[:, : tf.shape(rows)[1]]
    return tf.gather(same, tf.argsort(order), batch_dims=1)
