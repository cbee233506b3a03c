"""Item tables that an export needs to explain its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.explained.hidden_inputs import HiddenInputs
from tfrec_fusion.models.explained.shapley import subsets

if TYPE_CHECKING:
    from tfrec_fusion.models.two_tower import TwoTower

_MOST_VECTORS = 4
# Names of the other shares, of their sum, and of an entry that the page adds.
_TAKEN = ("id", "features", "request", "context", "bias", "score", "rules")


@dataclass(frozen=True)
class ExplainedItems:
    """The item side of a two-tower model, for every combination of hidden inputs.

    For N items and n fused inputs (ids and vectors) it holds 2^n - 2 tables of the size of the
    fused item vectors, and one bias per item: 2 tables for ids and texts, 6 with images, at most
    30.

    Attributes:
      inputs: names of the inputs that can be hidden, "context" last.
      fused: those inputs that the fused vectors are computed from.
      tables: set of hidden inputs of `fused` -> fused vectors `[N + 1, dim]` float32, the last row
        for an unknown item; a single row if all are hidden, as all items are then equal.
      bias: `[N + 1]` float32, the id's contribution to the last column of an item's vector.
      neutral: `[D - dim]` float32, the columns after the fused ones without bias and context.
    """

    inputs: tuple[str, ...]
    fused: tuple[str, ...]
    tables: Mapping[frozenset[str], np.ndarray]
    bias: np.ndarray
    neutral: np.ndarray

    @classmethod
    def of(cls, model: TwoTower, features: np.ndarray, seen: np.ndarray) -> ExplainedItems:
        """Computes the tables of a model.

        Args:
          model: the trained model.
          features: `[N + 1, F]` float32 as of the export, the last row for an unknown item.
          seen: `[N + 1]` bool, True for warm items, likewise.

        Raises:
          InputError: the model has more than 4 vectors, or a vector has a reserved name.
        """
        sides = HiddenInputs(model)
        _check(model)
        rows = tf.concat([tf.range(len(seen) - 1), [-1]], 0)
        features, seen = tf.constant(features), tf.constant(seen)
        tables = {
            hidden: tf.cast(sides.fuse(rows, seen, hidden), tf.float32).numpy()
            for hidden in subsets(sides.fused)[1:-1]
        }
        everything = frozenset(sides.fused)
        nothing = tf.cast(sides.fuse(rows[-1:], seen[-1:], everything), tf.float32)
        fused = tf.repeat(nothing, len(seen), axis=0)
        with_bias, without = (
            sides.item_vectors(fused, rows, features, seen, hidden).numpy()
            for hidden in (["context"], ["context", "id"])
        )
        return cls(
            sides.inputs,
            sides.fused,
            tables | {everything: nothing.numpy()},
            (with_bias - without)[:, -1],
            without[0, model.config.dim :],
        )


def _check(model: TwoTower) -> None:
    vectors = list(model.tower.frozen)
    if len(vectors) + (model.spec.item_side is not None) > _MOST_VECTORS:
        raise InputError(
            f"export: explain stores the items once for each combination of ids and vectors, so it "
            f"supports at most {_MOST_VECTORS} vectors, counting declared features as one; export "
            "this model without explain. "
            f"Received: {vectors}"
        )
    taken = [name for name in vectors if name in _TAKEN]
    if taken:
        raise InputError(
            "export: explain: the name of a vector is reserved for another share; rename it in the "
            f"catalogue and train again. Received: {taken[0]!r}"
        )
