"""Scorer of a `TwoStage`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.pipelines.candidates import candidates_of, checked_users, member_scores
from tfrec_fusion.pipelines.two_stage_config import TwoStageConfig
from tfrec_fusion.pipelines.two_stage_graph import two_stage_scores

_BLOCK = 1 << 22  # scores of the retrieval model held at once
_PAIRS = 1 << 17  # of a user and a candidate


class TwoStageScorer:
    """Scores users by both stages; a function of user rows.

    Args:
      retrieval: scorer of the retrieval model.
      ranker: scoring graph of the ranker.
      state: the state that both score.
      config: the options.
    """

    def __init__(
        self,
        retrieval: Callable[[np.ndarray], np.ndarray],
        ranker: RowServing,
        state: State,
        config: TwoStageConfig,
    ):
        self._retrieval, self._ranker, self._state = retrieval, ranker, state
        self._count = len(state.catalogue)
        best = min(config.candidates, self._count)
        self._step = max(1, min(_PAIRS // best, _BLOCK // self._count))

        def rows(*sizes, dtype=tf.float32):
            return tf.TensorSpec([None, *sizes], dtype)

        inputs = {
            name: rows(*one.shape[1:], dtype=one.dtype)
            for name, one in self._inputs(np.zeros(0, np.int32)).items()
        }
        n_items = self._count

        # Traced once, for blocks of any size.
        @tf.function(
            input_signature=[rows(n_items + 1), rows(n_items, dtype=tf.bool), inputs],
            autograph=False,
        )
        def scored(scores, recommendable, inputs):
            weight = config.retrieval_weight
            return two_stage_scores(scores, recommendable, best, weight, ranker, inputs)[:, :-1]

        self._scored = scored

    def __call__(self, users: np.ndarray) -> np.ndarray:
        """Returns scores `[B, n_items]` float32 of user rows `[B]`, -1 unknown.

        Raises:
          InputError: users are no rows, or a part gives scores that are not finite.
        """
        users = checked_users("TwoStage", users, self._state).astype(np.int32)
        found = np.empty((len(users), self._count), np.float32)
        for start in range(0, len(users), self._step):
            part = slice(start, start + self._step)
            found[part] = self._of(users[part])
        wrong = int((~np.isfinite(found)).sum())
        if wrong:
            raise InputError(
                "TwoStage: the ranker gives scores that are not finite; its training may have "
                f"diverged. Received: {wrong} of {found.size} scores"
            )
        return found

    def _of(self, users: np.ndarray) -> np.ndarray:
        scores = member_scores("TwoStage", "retrieval", self._retrieval, users, self._count)
        recommendable = candidates_of(self._state, users)
        padded = tf.constant(np.pad(scores, ((0, 0), (0, 1))))
        return self._scored(padded, tf.constant(recommendable), self._inputs(users)).numpy()

    def _inputs(self, users: np.ndarray) -> dict[str, tf.Tensor]:
        ranker, found = self._ranker, {"user": tf.constant(users)}
        if ranker.reads_history:
            length = ranker.history_length
            items, ages = self._state.padded_histories(users, length)
            found |= {"history": tf.constant(items), "history_age": tf.constant(ages)}
            if ranker.events is not None:
                found["history_event"] = tf.constant(ranker.events.padded(users, length))
        if ranker.requested is not None:
            found |= ranker.requested.fields(found["user"])
        return found
