"""Base of the scoring graphs of compositions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.score_serving import ScoreServing
from tfrec_fusion.pipelines import served_terms
from tfrec_fusion.pipelines.blended_requests import BlendedRequests


class ComposedServing(ScoreServing):
    """Scores all items by the scores of the members; a subclass implements `users`.

    A query holds the scores of the N items and of an unknown one, so a batch needs memory for
    `B * N` numbers a few times.

    Args:
      members: member -> its scoring graph.
      seen: `[N]` bool: whether each item has an event.
      masks: whether items of the history are no candidates.
      cold: the member whose order the items without an event keep; None for none.

    Raises:
      InputError: a member reads features of past events, whose rows its histories lack.
    """

    def __init__(
        self,
        members: Mapping[str, CatalogueServing],
        seen: np.ndarray,
        masks: bool,
        cold: str | None = None,
    ):
        of_events = [name for name, one in members.items() if one.events is not None]
        if of_events:
            raise InputError(
                "export: a model made of others cannot serve members that read features of past "
                "events; export them alone, or train them without features.event. "
                f"Received: {of_events}"
            )
        super().__init__(next(iter(members.values())).count)
        self._names, self._masks, self._cold = tuple(members), masks, cold
        self.members = list(members.values())
        self.cold = None
        if cold is not None and not seen.all():
            rows = np.flatnonzero(~seen).astype(np.int32)
            self.cold = tf.Variable(rows, trainable=False, dtype=tf.int32, name="cold_items")
        self.reads_order = any(one.reads_order for one in self.members)
        self.reads_ages = any(one.reads_ages for one in self.members)
        reading = [one.requested for one in self.members if one.requested is not None]
        self.requested = BlendedRequests(reading) if reading else None

    def all_scores(self, queries):
        return queries[:, : self.count]

    def scores_with_unknown(self, queries, rows):
        return self.scores_of(queries, tf.where(rows < 0, self.count, rows))

    def similar_items(self, text):
        """Returns the similarity of the first member that has one."""
        found = (member.similar_items(text) for member in self.members)
        return next((one for one in found if one is not None), None)

    def member_scores(self, users, items, positions, ages, given) -> dict[str, tf.Tensor]:
        """Member -> scores `[B, N + 1]`, the last column for an unknown item."""
        return {
            name: _scores(member, users, items, positions, ages, given)
            for name, member in zip(self._names, self.members, strict=True)
        }

    def candidates(self, items, positions, batch) -> tf.Tensor:
        """`[B, N]` bool: the items that can be recommended."""
        found = tf.ones([batch, self.count], tf.bool)
        if not self._masks:
            return found
        hidden = tf.zeros(tf.shape(items), tf.bool)
        return tf.tensor_scatter_nd_update(found, tf.stack([positions, items], 1), hidden)

    def change_of_cold(self, scores, members: Mapping[str, tf.Tensor], candidates) -> tf.Tensor:
        """What the order of the cold items' member changes in scores `[B, N + 1]`."""
        if self.cold is None or self._cold is None:
            return tf.zeros_like(scores)
        return served_terms.change_of_order(
            scores, members[self._cold], candidates, self.cold.read_value()
        )


def _scores(member: CatalogueServing, users, items, positions, ages, given) -> tf.Tensor:
    more = ()
    if member.requested is not None:
        more = ({tensor.name: given[tensor.name] for tensor in member.requested.inputs},)
    queries = member.users(users, items, positions, ages, *more)
    unknown = tf.fill([tf.shape(users)[0], 1], -1)
    return tf.concat([member.all_scores(queries), member.scores_with_unknown(queries, unknown)], 1)
