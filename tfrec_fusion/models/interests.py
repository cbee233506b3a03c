"""Scores of users with several vectors, of which the best one counts."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tfrec_fusion._compat import tf


def best_interest(users: tf.Tensor, scores_of: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Returns the largest of a user's scores over the interests.

    One interest after the other, so that memory holds two of them at a time.

    Args:
      users: `[B, D]` float32, which has one score; or `[B, interests, D]`.
      scores_of: function from `[B, D]` to scores `[B, ...]`.
    """
    if users.shape.rank == 2:
        return scores_of(users)
    found = (scores_of(users[:, k]) for k in range(users.shape[1]))
    return functools.reduce(tf.maximum, found)
