"""Item and user slices of the evaluation, defined by the training events alone."""

import numpy as np
from scipy import sparse

ITEM_SLICES = ("warm", "cold", "head", "tail")
USER_SLICES = ("new users", "old users")
SLICES = ("total", *ITEM_SLICES, *USER_SLICES)

HEAD_SHARE = 0.2
NEW_USER_ITEMS = 5
RARE_ITEM_EVENTS = 5


def item_slices(matrix: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """Returns the masks of the item slices.

    Warm: at least one training event; cold: none; head: the most popular 20 % of the warm items
    (rounded up; ties by item row); tail: the other warm items.

    Args:
      matrix: `[users, items]` training pairs, 1.0 each.

    Returns:
      `{"warm": [items] bool, "cold": ..., "head": ..., "tail": ...}`.

    Example:
      >>> item_slices(sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 0]])))["head"]
      array([False,  True, False])
    """
    users = np.bincount(matrix.indices, minlength=matrix.shape[1])
    warm = users > 0
    head = np.zeros(len(users), bool)
    size = int(np.ceil(HEAD_SHARE * warm.sum()))
    if size:
        least = np.partition(users, len(users) - size)[len(users) - size]
        head = users > least
        head[np.flatnonzero(users == least)[: size - head.sum()]] = True
    return {"warm": warm, "cold": ~warm, "head": head, "tail": warm & ~head}


def rare_items(matrix: sparse.csr_matrix) -> np.ndarray:
    """Returns the mask of the rare items, those with fewer than 5 training events, `[items]` bool.

    The cold ones are among them.

    Args:
      matrix: `[users, items]` training pairs, 1.0 each.

    Example:
      >>> rare_items(sparse.csr_matrix(np.ones((5, 1))))
      array([False])
    """
    return np.bincount(matrix.indices, minlength=matrix.shape[1]) < RARE_ITEM_EVENTS


def user_slices(matrix: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """Returns the masks of the user slices.

    New users have at most 5 training items, old users more.

    Args:
      matrix: `[users, items]` training pairs, 1.0 each.

    Returns:
      `{"new users": [users] bool, "old users": [users] bool}`.

    Example:
      >>> user_slices(sparse.csr_matrix(np.ones((1, 6))))["old users"]
      array([ True])
    """
    new = np.diff(matrix.indptr) <= NEW_USER_ITEMS
    return {"new users": new, "old users": ~new}
