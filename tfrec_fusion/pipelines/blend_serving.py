"""Scoring graph of a `Blend`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.pipelines import served_terms
from tfrec_fusion.pipelines.blend_config import BlendConfig
from tfrec_fusion.pipelines.blend_explanation import BlendExplanation
from tfrec_fusion.pipelines.composed_serving import ComposedServing


class BlendServing(ComposedServing):
    """Scores all items by the weighted terms of the members, as `BlendScorer` does.

    Args:
      config: the options.
      members, seen, masks: see `ComposedServing`.
      explain: whether the graph can split scores into shares.

    Raises:
      InputError: see `ComposedServing`.
    """

    def __init__(
        self,
        config: BlendConfig,
        members: Mapping[str, CatalogueServing],
        seen: np.ndarray,
        masks: bool,
        explain: bool = False,
    ):
        super().__init__(members, seen, masks, config.cold)
        self._config = config
        if explain:
            self.explanation = BlendExplanation(
                (*members, *(("cold",) if config.cold is not None else ()))
            )

    def users(self, users, items, positions, ages, given=None):
        return tf.add_n(list(self._shares(users, items, positions, ages, given).values()))

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
        candidates = self.candidates(items, positions, batch)
        weights = self._weights(positions, batch)
        scores = self.member_scores(users, items, positions, ages, given)
        found = {
            name: weights[name] * self._term(values, candidates) for name, values in scores.items()
        }
        if self._config.cold is not None:
            blended = tf.add_n(list(found.values()))
            found["cold"] = self.change_of_cold(blended, scores, candidates)
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
