"""What the members of a blend say of the evaluated users of a held-out part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.data import History, Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Report, evaluate
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend import Blend
from tfrec_fusion.pipelines.candidates import candidates_of, member_scores
from tfrec_fusion.pipelines.terms import reordered, terms_of
from tfrec_fusion.retrieval.counted_ranks import top_items

_BLOCK = 1 << 22  # scores of a member held at once
_CANDIDATES = 100  # best items of each member and user, among which weights are chosen
_MOST_BYTES = 2**31  # of the members' terms for the evaluated users of all folds
_log = logging.getLogger(__name__)


def most_users(train: Interactions, members: int, forms: int) -> int:
    """Returns the number of users, of all folds together, whose terms are held in memory.

    Args:
      train: the training events of a fold.
      members, forms: their numbers.
    """
    cold = int(np.count_nonzero(train.item_counts() == 0))
    return _MOST_BYTES // (4 * members * (forms * len(train.catalogue) + cold))


class BlendFold:
    """Measures weighted sums of the members' terms, each computed once; the members are not kept.

    Args:
      members: models that know only the training events of the part.
      part: the held-out part.
      forms: values of `Blend(how=...)`.
      k: see `BlendConfig`.
      most: number of users to measure; of more a sample.
      seed: of the sample.

    Attributes:
      users: `[users]` ids of the measured users.
      relevant: `[users]` number of their targets.

    Raises:
      InputError: the members do not belong together, one gives scores of a wrong shape or type, or
        there is no evaluated user.
    """

    def __init__(
        self,
        members: Mapping[str, Model],
        part: Split,
        forms: Sequence[str],
        k: float,
        most: int,
        seed: int,
    ):
        users, targets = part.targets()
        if not len(users):
            raise InputError(
                "choose_blend: the validation period has no user with earlier events and new "
                "items; use another split or more data"
            )
        if len(users) > most:
            _log.warning("choose_blend: measured on %d of %d users", most, len(users))
            rows = np.sort(np.random.default_rng(seed).choice(len(users), most, replace=False))
            users, targets = users[rows], targets.take(rows)
        self.users, self.relevant = part.train.users.ids[users], targets.lengths
        self._part = _Part(part.train, part.kind, part.repeats, users, targets)
        self._row = np.full(len(part.train.users), -1)
        self._row[users] = np.arange(len(users))
        self._names, self._k = [*members], k
        self._cold = np.flatnonzero(part.train.item_counts() == 0)
        self._score(Blend(members, k=k), forms)

    def _score(self, blend: Blend, forms: Sequence[str]) -> None:
        """Computes the terms of all forms, and keeps the scores of unseen items."""
        state = State.of(self._part.train)
        scorers = blend.member_scorers(state)  # checks the events
        shape = len(self.users), len(state.catalogue)
        self._terms = {
            (form, name): np.empty(shape, np.float32) for form in forms for name in scorers
        }
        self._of_cold = {
            name: np.empty((len(self.users), len(self._cold)), np.float32) for name in scorers
        }
        step = max(1, _BLOCK // shape[1])
        for start in range(0, len(self.users), step):
            rows = slice(start, start + step)
            users = self._part.users[rows]
            candidates = candidates_of(state, users)
            for name, scorer in scorers.items():
                scores = member_scores("choose_blend", name, scorer, users, shape[1])
                self._of_cold[name][rows] = scores[:, self._cold]
                for form in forms:
                    self._terms[form, name][rows] = terms_of(form, scores, candidates, self._k)

    def best_terms(self, form: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the terms `[members, users, C]` of the best items of any member.

        And which of these are targets, `[users, C]`. Other items are in no sum's top 10, but for
        rare ones that no member ranks high.
        """
        candidates = candidates_of(State.of(self._part.train), self._part.users)
        kept = np.zeros(candidates.shape, bool)
        terms = [self._terms[form, name] for name in self._names]
        for one in terms:
            one = np.where(candidates, one, np.float32(-np.inf))
            tops = top_items(one, min(_CANDIDATES, one.shape[1]))
            rows = np.repeat(np.arange(len(tops)), tops.shape[1])
            kept[rows[tops.ravel() >= 0], tops[tops >= 0]] = True
        places = np.argsort(~kept, 1, kind="stable")[:, : kept.sum(1).max()]
        found = np.stack([np.take_along_axis(one, places, 1) for one in terms])
        found[:, ~np.take_along_axis(kept, places, 1)] = -np.inf
        is_target = np.zeros(kept.shape, bool)
        rows = np.repeat(np.arange(len(self.users)), self.relevant)
        is_target[rows, self._part.held_out.items] = True
        return found, np.take_along_axis(is_target, places, 1)

    def report(
        self,
        form: str,
        weights: Mapping[str, float],
        *,
        cold: str | None = None,
        slices: bool = False,
    ) -> Report:
        """Evaluates the blend of this form and these weights for the measured users.

        Args:
          cold: the member whose order the unseen items keep, as in `Blend`.
          slices: see `evaluate`.
        """
        terms = [(np.float32(w), self._terms[form, name]) for name, w in weights.items()]

        def score(users: np.ndarray) -> np.ndarray:
            rows = self._row[users]
            found = np.sum([weight * values[rows] for weight, values in terms], axis=0)
            if cold is not None:
                order = self._of_cold[cold][rows]
                found[:, self._cold] = reordered(found[:, self._cold], order)
            return found

        return evaluate(
            _Scored(score),
            self._part,
            k=(10,),
            slices=slices,
            bootstrap=0,
            users=None,
            progress=False,
        )


@dataclass(frozen=True)
class _Scored:
    function: Callable[[np.ndarray], np.ndarray]

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        return self.function


@dataclass(frozen=True)
class _Part:
    """A split with some of its evaluated users."""

    train: Interactions
    kind: str
    repeats: str
    users: np.ndarray
    held_out: History

    def targets(self) -> tuple[np.ndarray, History]:
        return self.users, self.held_out
