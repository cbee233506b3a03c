"""Scoring graph of a `Blend`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.score_serving import ScoreServing
from tfrec_fusion.pipelines import served_terms
from tfrec_fusion.pipelines.blend_config import BlendConfig
from tfrec_fusion.pipelines.blend_explanation import BlendExplanation
from tfrec_fusion.pipelines.blended_requests import BlendedRequests


class BlendServing(ScoreServing):
    """Scores all items by the weighted terms of the members, as `BlendScorer` does.

    A query holds the scores of the N items and of an unknown one, so a batch needs memory for
    `B * N` numbers a few times.

    Args:
      config: the options.
      members: member -> its scoring graph.
      cold: `[C]` rows of the items without an event.
      masks: whether items of the history are no candidates.
      explain: whether the graph can split scores into shares.

    Raises:
      InputError: a member reads features of past events, whose rows a blend's histories lack.
    """

    def __init__(
        self,
        config: BlendConfig,
        members: Mapping[str, CatalogueServing],
        cold: np.ndarray,
        masks: bool,
        explain: bool = False,
    ):
        of_events = [name for name, one in members.items() if one.events is not None]
        if of_events:
            raise InputError(
                "export: a blend cannot serve members that read features of past events; export "
                "them alone, or train them without features.event. "
                f"Received: {of_events}"
            )
        super().__init__(next(iter(members.values())).count)
        self._config, self._names, self._masks = config, tuple(members), masks
        self.members = list(members.values())
        self.cold = None
        if config.cold is not None and len(cold):
            self.cold = tf.Variable(cold, trainable=False, dtype=tf.int32, name="cold_items")
        self.reads_order = any(one.reads_order for one in self.members)
        reading = [one.requested for one in self.members if one.requested is not None]
        self.requested = BlendedRequests(reading) if reading else None
        if explain:
            self.explanation = BlendExplanation(
                (*members, *(("cold",) if config.cold is not None else ()))
            )

    def users(self, users, items, positions, ages, given=None):
        return tf.add_n(list(self._shares(users, items, positions, ages, given).values()))

    def all_scores(self, queries):
        return queries[:, : self.count]

    def scores_with_unknown(self, queries, rows):
        return self.scores_of(queries, tf.where(rows < 0, self.count, rows))

    def similar_items(self, text):
        """Returns the similarity of the first member that has one."""
        found = (member.similar_items(text) for member in self.members)
        return next((one for one in found if one is not None), None)

    def explained(self, users, pairs, ages, rows, given=None) -> dict[str, tf.Tensor]:
        """Returns "score", the share of each member, and "bias", which is 0: `[B, M]` each."""
        shares = self._shares(users, pairs[:, 1], pairs[:, 0], ages, given)
        found = {
            share_output(name): self.scores_with_unknown(share, rows)
            for name, share in shares.items()
        }
        score = tf.add_n(list(found.values()))
        return {"score": score, **found, "bias": tf.zeros_like(score)}

    def _shares(self, users, items, positions, ages, given) -> dict[str, tf.Tensor]:
        """Share -> `[B, N + 1]` float32, the last column for an unknown item."""
        batch = tf.shape(users)[0]
        candidates = tf.ones([batch, self.count], tf.bool)
        if self._masks:
            pairs = tf.stack([positions, items], 1)
            hidden = tf.zeros(tf.shape(items), tf.bool)
            candidates = tf.tensor_scatter_nd_update(candidates, pairs, hidden)
        weights = self._weights(positions, batch)
        found, of_cold = {}, None
        for name, member in zip(self._names, self.members, strict=True):
            scores = _scores(member, users, items, positions, ages, given)
            if name == self._config.cold:
                of_cold = scores
            found[name] = weights[name] * self._term(scores, candidates)
        if self._config.cold is not None:
            blended = tf.add_n(list(found.values()))
            found["cold"] = self._change(blended, of_cold, candidates)
        return found

    def _term(self, scores, candidates):
        if self._config.how == "rank":
            return served_terms.reciprocal_ranks(scores, candidates, self._config.k)
        if self._config.how == "zscore":
            return served_terms.z_scores(scores, candidates)
        return scores

    def _weights(self, positions, batch) -> dict[str, tf.Tensor | float]:
        new = self._config.new_users
        if new is None:
            return dict(self._config.weights)
        ones = tf.ones_like(positions, tf.float32)
        lengths = tf.math.unsorted_segment_sum(ones, positions, batch)[:, None]
        return {
            name: tf.where(lengths <= float(new.events), new.weights[name], weight)
            for name, weight in self._config.weights.items()
        }

    def _change(self, blended, of_cold, candidates):
        """What the order of the cold items' member changes in blended scores `[B, N + 1]`."""
        change = tf.zeros_like(blended)
        if self.cold is None:
            return change
        cold = self.cold.read_value()
        values, scores, kept = (tf.gather(x, cold, axis=1) for x in (blended, of_cold, candidates))
        lowest = -float("inf")
        moved = served_terms.reordered(
            tf.where(kept, values, lowest), tf.where(kept, scores, lowest)
        )
        moved = tf.where(kept, moved - values, 0.0)
        batch, count = tf.shape(values)[0], tf.size(cold)
        places = tf.stack([tf.repeat(tf.range(batch), count), tf.tile(cold, [batch])], 1)
        return tf.tensor_scatter_nd_update(change, places, tf.reshape(moved, [-1]))


def _scores(member: CatalogueServing, users, items, positions, ages, given) -> tf.Tensor:
    """Scores `[B, N + 1]` of a member, the last column for an unknown item."""
    more = ()
    if member.requested is not None:
        more = ({tensor.name: given[tensor.name] for tensor in member.requested.inputs},)
    queries = member.users(users, items, positions, ages, *more)
    unknown = tf.fill([tf.shape(users)[0], 1], -1)
    return tf.concat([member.all_scores(queries), member.scores_with_unknown(queries, unknown)], 1)
