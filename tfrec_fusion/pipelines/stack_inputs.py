"""What the head of a `Stack` reads, for users of a state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.candidates import candidates_of, checked_users, member_scores
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.pipelines.stack_graph import StackGraph, item_inputs


class CandidateInputs(NamedTuple):
    """The candidates of users, and the inputs of the head.

    Attributes:
      scores: member -> scores `[B, N + 1]`; the last column, of an unknown item, is 0.
      recommendable: `[B, N]` bool.
      sums: `[B, N + 1]` sums of the reciprocal ranks.
      rows: `[B, C]` int32 items of the candidates.
      inputs: `[B, C, n_inputs]` float32.
    """

    scores: dict[str, tf.Tensor]
    recommendable: np.ndarray
    sums: tf.Tensor
    rows: tf.Tensor
    inputs: tf.Tensor


class StackInputs:
    """Computes the inputs of the head from the members' scores of a state.

    Args:
      config: the options.
      members: the fitted members.
      numbers: columns of the catalogue that the head reads.
      state: the state.
    """

    def __init__(
        self,
        config: StackConfig,
        members: Mapping[str, Model],
        numbers: tuple[str, ...],
        state: State,
    ):
        self.graph = StackGraph(item_inputs(state, numbers), config.candidates, config.k)
        self._scorers = {name: member.scorer(state) for name, member in members.items()}
        self._state = state

    def __call__(self, users: np.ndarray) -> CandidateInputs:
        """Returns the inputs for user rows `[B]`, -1 unknown."""
        users = checked_users("Stack", users, self._state)
        recommendable, scores = candidates_of(self._state, users), {}
        for name, scorer in self._scorers.items():
            found = member_scores("Stack", name, scorer, users, recommendable.shape[1])
            scores[name] = tf.constant(np.pad(found, ((0, 0), (0, 1))))
        _, positions, ages = self._state.flat_histories(users)
        return CandidateInputs(
            scores, recommendable, *self.graph(scores, recommendable, positions, ages)
        )
