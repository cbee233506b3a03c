"""Scoring graph of a `TwoStage`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.models.serving.score_serving import Scores
from tfrec_fusion.pipelines.blended_requests import BlendedRequests
from tfrec_fusion.pipelines.composed_serving import ComposedServing
from tfrec_fusion.pipelines.packed_inputs import PackedInputs
from tfrec_fusion.pipelines.two_stage_config import TwoStageConfig
from tfrec_fusion.pipelines.two_stage_graph import two_stage_scores


class TwoStageServing(ComposedServing):
    """Scores all items by both stages, as `TwoStageScorer` does.

    A query holds what the ranker needs to score the candidates of a request, which are known when
    its filters are: the retrieval model's scores of the N items and an unknown one, which of the
    items are not of the history, and the ranker's inputs.

    Args:
      members: the retrieval model's scoring graph by its name.
      ranker: that of the ranker.
      seen, masks: see `ComposedServing`.
      config: the options.

    Raises:
      InputError: see `ComposedServing`; the ranker may read features of past events.
    """

    has_stages = True

    def __init__(
        self,
        members: Mapping[str, CatalogueServing],
        ranker: RowServing,
        seen: np.ndarray,
        masks: bool,
        config: TwoStageConfig,
    ):
        super().__init__(members, seen, masks)
        self.ranker, self._best = ranker, min(config.candidates, self.count)
        self._weight = config.retrieval_weight
        self.events = ranker.events
        self.reads_order = self.reads_order or ranker.reads_history
        self.reads_ages = self.reads_ages or ranker.reads_ages
        reading = [one.requested for one in (*self.members, ranker) if one.requested is not None]
        self.requested = BlendedRequests(reading) if reading else None
        none = tf.zeros([0], tf.int32)
        events = None if self.events is None else none
        self._packed = PackedInputs(self._inputs(none, none, none, tf.zeros([0]), None, events))

    def users(self, users, items, positions, ages, given=None, events=None):
        (scores,) = self.member_scores(users, items, positions, ages, given).values()
        candidates = self.candidates(items, positions, tf.shape(users)[0])
        inputs = self._inputs(users, items, positions, ages, given, events)
        packed = self._packed.pack(inputs)
        return tf.concat([scores, tf.cast(candidates, tf.float32), packed], 1)

    def all_scores(self, queries):
        return self._scores(queries)[:, :-1]

    def scores_of(self, queries, rows):
        return tf.gather(self._scores(queries), rows, batch_dims=1)

    def best(self, queries, k, masked_pairs, bias=None, allowed=None, restricted=True):
        scores = self.all_scores(queries)
        return Scores(self.count).best(scores, k, masked_pairs, bias, allowed, restricted)

    def retrieval_scores(self, queries, rows):
        scores = queries[:, : self.count + 1]
        return tf.gather(scores, tf.where(rows < 0, self.count, rows), batch_dims=1)

    def among(self, queries, allowed: Callable[[], tf.Tensor]):
        return Scores(self.count), self._scores(queries, allowed())[:, :-1]

    def _scores(self, queries, allowed=None) -> tf.Tensor:
        """Scores `[B, N + 1]`, with candidates among the allowed items `[B, N]`."""
        scores, candidates = queries[:, : self.count + 1], queries[:, self.count + 1 :]
        inputs = self._packed.unpack(candidates[:, self.count :])
        candidates = candidates[:, : self.count] > 0.5
        if allowed is not None:
            candidates &= allowed
        return two_stage_scores(scores, candidates, self._best, self._weight, self.ranker, inputs)

    def _inputs(self, users, items, positions, ages, given, events) -> dict[str, tf.Tensor]:
        """The inputs of the ranker but for the items."""
        ranker, found = self.ranker, {"user": users}
        if ranker.reads_history:
            length, batch = ranker.history_length, tf.shape(users)[0]
            # Float32, as ONNX sums no whole numbers by segment.
            ones = tf.ones_like(positions, tf.float32)
            ends = tf.cumsum(
                tf.cast(tf.math.unsorted_segment_sum(ones, positions, batch), tf.int32)
            )
            columns = length + tf.range(tf.size(positions)) - tf.gather(ends, positions)
            last = tf.where(columns >= 0)[:, 0]
            places = tf.stack([tf.gather(positions, last), tf.gather(columns, last)], 1)

            def padded(values, empty):
                rows = tf.fill([batch, length], tf.constant(empty, values.dtype))
                return tf.tensor_scatter_nd_update(rows, places, tf.gather(values, last))

            # Without times, ages are numbers of later events, which rankers do not read.
            days = ages if ranker.reads_ages else tf.zeros_like(ages)
            found |= {"history": padded(items, -1), "history_age": padded(days, 0.0)}
            if events is not None:
                found["history_event"] = padded(events, -1)
        if ranker.requested is not None:
            own = None
            if given is not None:
                own = {tensor.name: given[tensor.name] for tensor in ranker.requested.inputs}
            found |= ranker.requested.fields(users, own)
        return found
