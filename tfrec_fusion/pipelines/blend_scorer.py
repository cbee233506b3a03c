"""Scorer of a `Blend` in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfrec_fusion.features.state import State
from tfrec_fusion.pipelines.blend_config import BlendConfig
from tfrec_fusion.pipelines.candidates import candidates_of, checked_users, member_scores
from tfrec_fusion.pipelines.terms import reordered, terms_of

_BLOCK = 1 << 22  # scores of a member held at once


class BlendScorer:
    """Scores users by the weighted terms of a blend's members; a function of user rows.

    Args:
      config: the options.
      scorers: member -> its scorer.
      state: the state that the members score.
    """

    def __init__(
        self,
        config: BlendConfig,
        scorers: Mapping[str, Callable[[np.ndarray], np.ndarray]],
        state: State,
    ):
        self._config, self._scorers, self._state = config, dict(scorers), state
        self._cold = np.flatnonzero(~state.seen)

    def __call__(self, users: np.ndarray) -> np.ndarray:
        """Returns scores `[B, n_items]` float32 of user rows `[B]`, -1 unknown."""
        users = checked_users("Blend", users, self._state)
        scores = np.empty((len(users), len(self._state.catalogue)), np.float32)
        for start in range(0, len(users), self._step):
            part = slice(start, start + self._step)
            scores[part] = sum(self._shares(users[part]).values())
        return scores

    def explained(
        self, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Returns scores, shares by name, and the bias, 0, of pairs, `[P]` float64 each.

        Args:
          users, items: `[P]` rows; users may be -1, unknown.
        """
        distinct, place = np.unique(checked_users("Blend", users, self._state), return_inverse=True)
        found = {name: np.empty(len(items)) for name in self.inputs}
        step = self._step
        for start in range(0, len(distinct), step):
            shares = self._shares(distinct[start : start + step])
            here = (place >= start) & (place < start + step)
            for name, share in shares.items():
                found[name][here] = share[place[here] - start, np.asarray(items)[here]]
        score = np.sum(list(found.values()), axis=0)
        return score, found, np.zeros(len(items))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the shares."""
        return (*self._scorers, *(("cold",) if self._config.cold else ()))

    @property
    def _step(self) -> int:
        return max(1, _BLOCK // len(self._state.catalogue))

    def _shares(self, users: np.ndarray) -> dict[str, np.ndarray]:
        """Share -> `[B, n_items]` float32; they add up to the score."""
        config, candidates = self._config, candidates_of(self._state, users)
        short = None
        if config.new_users is not None:
            short = self._state.histories.take(users).lengths <= config.new_users.events
        found, of_cold = {}, None
        for name, scorer in self._scorers.items():
            scores = member_scores("Blend", name, scorer, users, candidates.shape[1])
            if name == config.cold:
                of_cold = scores
            terms = terms_of(config.how, scores, candidates, config.k)
            found[name] = self._weights(name, short) * terms
        if of_cold is not None:
            found["cold"] = np.zeros(candidates.shape, np.float32)
            if len(self._cold):
                blended = np.sum([share[:, self._cold] for share in found.values()], axis=0)
                change = reordered(blended, of_cold[:, self._cold]) - blended
                found["cold"][:, self._cold] = change
        return found

    def _weights(self, name: str, short: np.ndarray | None) -> np.ndarray | np.float32:
        weight = np.float32(self._config.weights[name])
        if short is None or self._config.new_users is None:
            return weight
        other = np.float32(self._config.new_users.weights[name])
        return np.where(short, other, weight)[:, None]
