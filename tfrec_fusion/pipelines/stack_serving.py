"""Scoring graph of a `Stack`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.pipelines.composed_serving import ComposedServing
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.pipelines.stack_graph import StackGraph, with_logits


class StackServing(ComposedServing):
    """Scores all items by the head over the members' scores, as `StackScorer` does.

    Args:
      config: the options.
      members, seen, masks: see `ComposedServing`.
      graph: computes the head's inputs.
      head: the network.
      timed: whether the events have times; the head then reads the ages of a history.

    Raises:
      InputError: see `ComposedServing`.
    """

    def __init__(
        self,
        config: StackConfig,
        members: Mapping[str, CatalogueServing],
        graph: StackGraph,
        head: keras.Model,
        seen: np.ndarray,
        masks: bool,
        timed: bool,
    ):
        super().__init__(members, seen, masks, config.cold)
        self.graph, self.reads_ages = graph, self.reads_ages or timed
        self._logits = lambda inputs: head(inputs, training=False)

    def users(self, users, items, positions, ages, given=None):
        candidates = self.candidates(items, positions, tf.shape(users)[0])
        scores = self.member_scores(users, items, positions, ages, given)
        sums, rows, inputs = self.graph(scores, candidates, positions, ages)
        found = with_logits(sums, rows, self._logits(inputs))
        return found + self.change_of_cold(found, scores, candidates)
