"""User and item vectors of a TwoTower with some of its inputs hidden."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.request_features import RequestFeatures
from tfrec_fusion.models.towers.event_features import EventFeatures
from tfrec_fusion.models.towers.item_tower import FEATURES

if TYPE_CHECKING:
    from tfrec_fusion.models.two_tower import TwoTower

REQUEST = "request"
"""Name of the context of requests among the inputs that can be hidden."""


class HiddenInputs:
    """Computes the vectors of a TwoTower as if some of its inputs were missing.

    Hiding applies to candidates and history items alike:

    - "id": hides item ids (each becomes the unknown id, which id dropout trains), item biases and
      the user's id (the user becomes unknown);
    - the name of a frozen vector: hides it for every item;
    - "features": hides the declared features of items and of users;
    - "request": hides the context of requests, its time too;
    - "context": sets the items' recency, trend and numbers to 0, an average item, and the size and
      recency of the history to 0. The recent pool keeps its weights.

    Args:
      model: the trained model.
      features: the features of users and requests, if the model reads some.
      events: the features of past events, if the model reads some. They are never hidden: they
        change the vectors of the history's items, whatever these are made from, and so count to
        the shares of these.

    Attributes:
      inputs: names of the inputs that can be hidden, "context" last.
      fused: those inputs that an item's fused vector is computed from.

    Example:
      >>> sides = HiddenInputs(model)
      >>> sides.inputs
      ('id', 'text', 'context')
      >>> sides.fuse(tf.constant([0, 1]), tf.constant([True, True]), hidden=["text"]).shape[0]
      2
    """

    def __init__(
        self,
        model: TwoTower,
        features: RequestFeatures | None = None,
        events: EventFeatures | None = None,
    ):
        self._model, vectors, spec = model, tuple(model.tower.frozen), model.spec
        self._features, self._events = features, events
        ids = ("id",) if model.config.use_ids or model.reads_user_ids else ()
        declared = (FEATURES,) if spec.item_side or spec.user_side else ()
        requests = (REQUEST,) if spec.context_side else ()
        self.inputs = (*ids, *vectors, *declared, *requests, "context")
        of_items = (FEATURES,) if spec.item_side else ()
        self.fused = (*(("id",) if model.config.use_ids else ()), *vectors, *of_items)

    def fuse(self, rows, seen, hidden: Collection[str]) -> tf.Tensor:
        """Computes fused vectors `[M, dim]` of item rows `[M]` (-1 unknown); `seen` marks warm."""
        left_out = [name for name in self.fused if name in hidden]
        return self._model.tower(rows, seen, hidden=left_out)

    def item_vectors(self, fused, rows, features, seen, hidden: Collection[str]) -> tf.Tensor:
        """Computes `TwoTower.item_side` `[M, D]` float32 from `fuse` with the same `hidden`."""
        if "context" in hidden:
            # The model replaces a missing number by the mean.
            numbers = len(self._model.spec.numbers)
            average = [0.0] * (features.shape[-1] - numbers) + [math.nan] * numbers
            features = tf.broadcast_to(tf.constant(average), tf.shape(features))
        if "id" in hidden:
            # From here on only the bias reads `seen`.
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
        given: Mapping[str, tf.Tensor] | None = None,
        events: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes `TwoTower.user_vectors` from vectors of `fuse` with the same `hidden`.

        Args:
          given: the features that requests give.
          events: `[H]` int32 rows of the features of the events, if the model reads some.
        """
        features = {}
        if self._features is not None:
            features = self._features(
                users, given, hide_users=FEATURES in hidden, hide_context=REQUEST in hidden
            )
        if self._events is not None and events is not None:
            history_vectors = self._model.past_vectors(history_vectors, self._events(events))
        if "id" in hidden:
            users = -tf.ones_like(users)
        return self._model.user_vectors(
            users,
            history_vectors,
            history_items,
            history_rows,
            history_ages,
            hide_size="context" in hidden,
            **features,
        )
