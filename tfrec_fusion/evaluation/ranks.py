"""Rank counts of targets and statistics of lists, collected over all users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.expectation import tie_groups


@dataclass
class Ranks:
    """Rank counts, one per target, and the statistics of the users' lists.

    `greater` and `equal` must be exact only for targets within reach of some cut-off. For lower
    targets, `greater` may be any number beyond the cut-offs, and `equal` any number not below that
    of the user's targets with the same score.

    Attributes:
      user: `[targets] int64` position among the evaluated users.
      item: `[targets] int32` item row.
      score: `[targets] float32`.
      greater, equal: `[targets] int64`, number of candidates with a greater or an equal score.
      greater_cold, equal_cold: `[targets] int64`, the same among the cold candidates.
      recommended: k -> `[items] bool`, whether some user's list holds the item.
      novelty: k -> `[users] float64`, in bits.
    """

    user: np.ndarray
    item: np.ndarray
    score: np.ndarray
    greater: np.ndarray
    equal: np.ndarray
    greater_cold: np.ndarray
    equal_cold: np.ndarray
    recommended: dict[int, np.ndarray]
    novelty: dict[int, np.ndarray]
    _surprise: np.ndarray

    @classmethod
    def of(cls, targets, matrix: sparse.csr_matrix, cuts: Sequence[int]) -> Ranks:
        """Creates empty counts, before anything is ranked.

        Args:
          targets: each evaluated user's new test items, with `splits` and `items`.
          matrix: `[users, items]` training pairs, 1.0 each.
          cuts: lengths of the lists.
        """
        item, n_items = targets.items, matrix.shape[1]
        n_users = len(targets.splits) - 1
        events = np.bincount(matrix.indices, minlength=n_items)
        return cls(
            user=np.repeat(np.arange(n_users), np.diff(targets.splits)),
            item=item,
            score=np.empty(len(item), np.float32),
            greater=np.empty(len(item), np.int64),
            equal=np.empty(len(item), np.int64),
            greater_cold=np.zeros(len(item), np.int64),
            equal_cold=np.zeros(len(item), np.int64),
            recommended={cut: np.zeros(n_items, bool) for cut in cuts},
            novelty={cut: np.empty(n_users) for cut in cuts},
            _surprise=-np.log2((events + 1) / (events.sum() + n_items)),
        )

    def set_scores(self, users: np.ndarray, here, score: np.ndarray) -> None:
        """Stores the scores of the targets `here`; masked training items have -inf.

        Raises:
          InputError: a target is among its user's training items.
        """
        self.score[here] = score
        if np.isneginf(score).any():
            raise InputError(
                "evaluate: split.targets() has test items among the user's training items, first "
                f"at user row {users[self.user[here][np.isneginf(score)][0]]}; leave them out"
            )

    @cached_property
    def tie_groups(self) -> tuple[np.ndarray, np.ndarray]:
        """`tie_groups` of all targets, once their scores are set."""
        return tie_groups(self.user, self.score)

    def add_lists(self, users, lists: np.ndarray) -> None:
        """Adds the lists `[B, longest cut]` of item rows (-1: empty) of the positions `users`."""
        for cut in self.recommended:
            listed = lists[:, :cut]
            filled = listed >= 0
            self.recommended[cut][listed[filled]] = True
            bits = np.where(filled, self._surprise[listed], 0.0).sum(1)
            self.novelty[cut][users] = bits / filled.sum(1)
