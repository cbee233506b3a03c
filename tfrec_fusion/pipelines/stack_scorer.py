"""Scorer of a `Stack`."""

from __future__ import annotations

import numpy as np

from tfrec_fusion._compat import keras
from tfrec_fusion.features.state import State
from tfrec_fusion.pipelines import served_terms
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.pipelines.stack_graph import with_logits
from tfrec_fusion.pipelines.stack_inputs import StackInputs

_BLOCK = 1 << 22  # scores of a member held at once
_USERS = 256  # their inputs are held at once


class StackScorer:
    """Scores users by the head over the members' scores; a function of user rows.

    Args:
      config: the options.
      inputs: computes the head's inputs from the state.
      head: the network.
      state: the state that the members score.
    """

    def __init__(self, config: StackConfig, inputs: StackInputs, head: keras.Model, state: State):
        self._config, self._inputs, self._head = config, inputs, head
        self._count = len(state.catalogue)
        self._cold = np.flatnonzero(~state.seen).astype(np.int32)

    def __call__(self, users: np.ndarray) -> np.ndarray:
        """Returns scores `[B, n_items]` float32 of user rows `[B]`, -1 unknown."""
        users = np.asarray(users)
        scores = np.empty((len(users), self._count), np.float32)
        step = max(1, min(_USERS, _BLOCK // self._count))
        for start in range(0, len(users), step):
            part = slice(start, start + step)
            scores[part] = self._scored(users[part])
        return scores

    def _scored(self, users: np.ndarray) -> np.ndarray:
        found = self._inputs(users)
        scores = with_logits(found.sums, found.rows, self._head(found.inputs, training=False))
        if self._config.cold is not None and len(self._cold):
            order = found.scores[self._config.cold]
            scores += served_terms.change_of_order(scores, order, found.recommendable, self._cold)
        return scores[:, :-1].numpy()
