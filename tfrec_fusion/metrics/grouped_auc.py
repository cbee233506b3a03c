"""Grouped AUC: the mean of each user's AUC."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from tfrec_fusion.errors import InputError
from tfrec_fusion.metrics.checked_rows import checked_rows


class GroupedAUC(NamedTuple):
    """GAUC, the number of users it is the mean of, and that of users of one label, left out."""

    gauc: float
    users: int
    left_out: int


def gauc(
    users: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    weights: Literal["impressions", "positives", "users"] = "impressions",
) -> float:
    """Computes GAUC, the weighted mean AUC of the users who have a positive and a negative.

    With P_u positives and N_u negatives of user u, AUC_u is the share of the P_u N_u pairs in which
    the positive scores higher, where ties count half; GAUC is `sum_u w_u AUC_u / sum_u w_u`. Unlike
    AUC, it measures only the ranking within each user, not score differences between users. From
    Zhou et al., "Deep Interest Network for Click-Through Rate Prediction" (KDD 2018), who weight by
    impressions.

    Args:
      users: `[n]` integers or strings, in any order.
      labels: `[n]`, positive above 0.
      scores: `[n]` finite numbers; only their order matters.
      weights: w_u: "impressions" is P_u + N_u, "positives" is P_u, "users" is 1.

    Returns:
      A number in [0, 1]; .5 for uninformative scores, NaN if no user has both labels.

    Raises:
      InputError: lengths differ, values are not finite or missing, or `weights` is unknown.

    Example:
      >>> gauc([1, 1, 1, 2, 2], [1, 0, 0, 1, 0], [3.0, 1.0, 2.0, 5.0, 5.0])
      0.8
    """
    return grouped_auc_counts(users, labels, scores, weights).gauc


def grouped_auc_counts(
    users: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    weights: Literal["impressions", "positives", "users"] = "impressions",
) -> GroupedAUC:
    """Computes `gauc`, and counts the users it covers and those it leaves out.

    A user without a positive or without a negative has no AUC and is left out: of few rows a user,
    that may be most of them, and GAUC then speaks for the others alone.

    Args:
      users, labels, scores, weights: see `gauc`.

    Raises:
      InputError: as `gauc`.

    Example:
      >>> grouped_auc_counts([1, 1, 2], [1, 0, 1], [2.0, 1.0, 3.0])
      GroupedAUC(gauc=1.0, users=1, left_out=1)
    """
    if weights not in ("impressions", "positives", "users"):
        raise InputError(
            f"gauc: weights must be 'impressions', 'positives' or 'users'. Received: {weights!r}"
        )
    auc, positives, count = user_aucs(users, labels, scores)
    both = ~np.isnan(auc)
    if not both.any():
        return GroupedAUC(float("nan"), 0, len(both))
    weight = {"impressions": count, "positives": positives, "users": np.ones(len(count))}[weights]
    value = float(np.average(auc[both], weights=weight[both]))
    return GroupedAUC(value, int(both.sum()), int((~both).sum()))


def user_aucs(
    users: np.ndarray, labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes each user's AUC, for the distinct users in ascending order.

    Args:
      users, labels, scores: see `gauc`.

    Returns:
      The AUCs `[u]`, NaN of a user without a positive or a negative, the numbers of positives, and
      those of rows.

    Raises:
      InputError: lengths differ, or values are not finite or missing.
    """
    users, labels, scores = checked_rows("gauc", users=users, labels=labels, scores=scores)
    labels = labels > 0
    if users.size == 0:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    user = np.unique(users, return_inverse=True)[1]
    order = np.lexsort([scores, user])
    user, labels, scores = user[order], labels[order], scores[order]
    count = np.bincount(user)
    positives = np.bincount(user, labels)
    negatives = count - positives
    # Equal scores of a user share the mean of their ranks; rank 1 is the user's lowest score.
    new = np.append(True, (np.diff(user) != 0) | (np.diff(scores) != 0))
    run = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(run)) - 1
    rank = (first + last)[run] / 2 - (np.cumsum(count) - count)[user] + 1
    above = np.bincount(user, rank * labels) - positives * (positives + 1) / 2
    with np.errstate(invalid="ignore"):
        return above / (positives * negatives), positives, count
