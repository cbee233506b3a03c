"""What an export has to know of its items to say where a score comes from."""

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
# The other shares, what they add up to, and what the page adds.
_TAKEN = ("id", "context", "bias", "score", "rules")


@dataclass(frozen=True)
class ExplainedItems:
    """The item side of a two-tower with some of its inputs hidden.

    Of N items and n fused inputs (ids and vectors) these are 2^n - 2 tables of the size of the
    fused item vectors, and a bias an item: 2 of them for ids and texts, 6 with images, and 30 at
    most.

    Attributes:
      inputs: names of what can be hidden, "context" last.
      fused: those of them that fused vectors are made of.
      tables: hidden ones of `fused`, some or all -> fused vectors `[N + 1, dim]` float32, the last
        that of an unknown item; one row where all are hidden and all items are alike.
      bias: `[N + 1]` float32, what the id adds to the last column of an item's vector.
      neutral: `[D - dim]` float32, the columns after the fused ones without bias and context.
    """

    inputs: tuple[str, ...]
    fused: tuple[str, ...]
    tables: Mapping[frozenset[str], np.ndarray]
    bias: np.ndarray
    neutral: np.ndarray

    @classmethod
    def of(cls, model: TwoTower, features: np.ndarray, seen: np.ndarray) -> ExplainedItems:
        """Takes them from a model.

        Args:
          model: the trained one.
          features: `[N + 1, F]` float32 as of the export, the last those of an unknown item.
          seen: `[N + 1]` bool likewise.

        Raises:
          InputError: more than 4 vectors, or one that is named as another input is.
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
    if len(vectors) > _MOST_VECTORS:
        raise InputError(
            f"export: explain stores the items once for each combination of ids and vectors, so it "
            f"takes models of at most {_MOST_VECTORS} vectors; export this one without. "
            f"Received: {vectors}"
        )
    taken = [name for name in vectors if name in _TAKEN]
    if taken:
        raise InputError(
            "export: explain: a vector's name is that of another share; rename it in the catalogue "
            f"and train again. Received: {taken[0]!r}"
        )
