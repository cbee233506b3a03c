"""The two sides of a TwoTower's score with some of its inputs hidden."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from tfrec_fusion._compat import tf

if TYPE_CHECKING:
    from tfrec_fusion.models.two_tower import TwoTower


class HiddenInputs:
    """A TwoTower as if some of its inputs were missing.

    What is hidden is hidden from the item and from the user's history alike:

    - "id": item ids (each becomes the unknown id, as ID dropout trains it), item biases and the
      user's id (an unknown user);
    - a frozen vector, by its name: missing for every item;
    - "context": the items' recency, trend and numbers are 0, which is an average item, and so are
      the size and the recency of the history. The recent pool keeps its weights.

    Args:
      model: the trained one.

    Attributes:
      inputs: names of what can be hidden, "context" last.
      fused: those of them that an item's fused vector is made of.

    Example:
      >>> sides = HiddenInputs(model)
      >>> sides.inputs
      ('id', 'text', 'context')
      >>> sides.fuse(tf.constant([0, 1]), tf.constant([True, True]), hidden=["text"]).shape[0]
      2
    """

    def __init__(self, model: TwoTower):
        self._model, vectors = model, tuple(model.tower.frozen)
        ids = ("id",) if model.config.use_ids or model.reads_user_ids else ()
        self.inputs = (*ids, *vectors, "context")
        self.fused = (*(("id",) if model.config.use_ids else ()), *vectors)

    def fuse(self, rows, seen, hidden: Collection[str]) -> tf.Tensor:
        """The fused vectors `[M, dim]` of item rows `[M]` (-1 unknown) that were `seen` or not."""
        left_out = [name for name in self.fused if name in hidden]
        return self._model.tower(rows, seen, hidden=left_out)

    def item_vectors(self, fused, rows, features, seen, hidden: Collection[str]) -> tf.Tensor:
        """`TwoTower.item_side` of what `fuse` gives for the same `hidden`: `[M, D]` float32."""
        if "context" in hidden:
            # An average item: a number that is missing counts as the mean.
            numbers = len(self._model.spec.numbers)
            average = [0.0] * (features.shape[-1] - numbers) + [math.nan] * numbers
            features = tf.broadcast_to(tf.constant(average), tf.shape(features))
        if "id" in hidden:
            # Only the bias asks from here on whether an item was seen.
            seen = tf.zeros_like(seen)
        return self._model.item_side(fused, rows, features, seen)

    def user_vectors(
        self,
        users,
        history_vectors,
        history_items,
        history_rows,
        history_ages,
        hidden: Collection[str],
    ) -> tf.Tensor:
        """`TwoTower.user_vectors` of histories of what `fuse` gives for the same `hidden`."""
        if "id" in hidden:
            users = -tf.ones_like(users)
        return self._model.user_vectors(
            users,
            history_vectors,
            history_items,
            history_rows,
            history_ages,
            hide_size="context" in hidden,
        )
