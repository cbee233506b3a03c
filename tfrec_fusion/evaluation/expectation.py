"""Rank metrics as their exact expectation over all orders of tied items.

All orders of items with the same score are equally likely. For a user with `m` relevant items,
take one group of tied candidates: `a` candidates score above it, it has `n` members, of which `r`
are relevant, and `R` relevant items score above it. Every member is equally likely at each of the
ranks `a + 1 ... a + n`. Hence, summing over the user's groups that hold a relevant item, with
`q = clip(k - a, 0, n)` members within the top k:

    Recall@k  =  sum r q / n  /  m
    NDCG@k    =  sum r / n * sum_{j=1..q} d(a + j)  /  sum_{i=1..min(m, k)} d(i)
    MAP@k     =  sum r / n * sum_{j=1..q} (R + 1 + (r - 1)(j - 1)/(n - 1)) / (a + j)  /  min(m, k)

with `d(i) = 1 / log2(i + 1)`. In MAP, `R` relevant items are certainly above rank `a + j`, and each
of the other `r - 1` is at one of the `j - 1` tied ranks above with probability `(j - 1)/(n - 1)`.
HR@k and MRR@k depend only on the first relevant item, which is in the best group; it is at tied
rank `j` with probability

    p_j = C(n - j, r - 1) / C(n, r),    HR@k = sum_{j<=q} p_j,    MRR@k = sum_{j<=q} p_j / (a + j).

Without ties (`n = r = 1`) these are the usual definitions. With a constant score over `N`
candidates Recall@k is `k / N`: a constant cannot win.
"""

from collections.abc import Sequence

import numpy as np

METRICS = ("ndcg", "recall", "hr", "mrr", "map")


def metric_names(k: Sequence[int]) -> list[str]:
    """Returns the names of the columns of `expected_metrics`, in order.

    Example:
      >>> metric_names([5])
      ['ndcg@5', 'recall@5', 'hr@5', 'mrr@5', 'map@5']
    """
    return [f"{metric}@{cut}" for metric in METRICS for cut in k]


def tie_groups(user: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts, for each target, the user's targets that score above it and that tie with it.

    Args:
      user: `[targets] int` user of each target.
      scores: `[targets] float32` score of each target.

    Returns:
      `(above, tied)`, both `[targets] int64`; a target is counted in its own `tied`.

    Example:
      >>> tie_groups(np.array([0, 0, 0]), np.array([2.0, 5.0, 2.0]))
      (array([1, 0, 1]), array([2, 1, 2]))
    """
    order = np.lexsort((-scores, user))
    sorted_user, sorted_scores = user[order], scores[order]
    new_user = np.ones(len(order), bool)
    new_user[1:] = sorted_user[1:] != sorted_user[:-1]
    new_group = new_user.copy()
    new_group[1:] |= sorted_scores[1:] != sorted_scores[:-1]
    starts = np.flatnonzero(new_group)
    group = np.cumsum(new_group) - 1
    user_start = np.flatnonzero(new_user)[np.cumsum(new_user) - 1]
    above = np.empty(len(order), np.int64)
    tied = np.empty(len(order), np.int64)
    above[order] = starts[group] - user_start
    tied[order] = np.diff(np.append(starts, len(order)))[group]
    return above, tied


def expected_metrics(
    user: np.ndarray,
    greater: np.ndarray,
    equal: np.ndarray,
    above: np.ndarray,
    tied: np.ndarray,
    k: Sequence[int],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns each user's expected Recall, NDCG, HR, MRR and MAP at each `k` over orders of ties.

    Args:
      user: `[targets] int` user of each target, in any order.
      greater: `[targets] int64` candidates that score above the target: `a`.
      equal: `[targets] int64` candidates that tie with it, itself included: `n`.
      above: `[targets] int64` the user's targets that score above it: `R`.
      tied: `[targets] int64` the user's targets that tie with it, itself included: `r`.
      k: cut-offs.

    Returns:
      The users that have a target, ascending, and `{"ndcg@10": [users] float64, ...}` in [0, 1].

    Example:
      >>> one, none = np.array([1]), np.array([0])
      >>> expected_metrics(none, greater=one, equal=one, above=none, tied=one, k=[10])[1]["mrr@10"]
      array([0.5])
    """
    users, place = np.unique(user, return_inverse=True)
    relevant = np.bincount(place, minlength=len(users))

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=values, minlength=len(users))

    deepest = max(k)
    ranks = np.arange(1, deepest + 1)
    gain = np.append(0.0, np.cumsum(1 / np.log2(ranks + 1)))  # gain[i]: of the first i ranks
    harmonic = np.append(0.0, np.cumsum(1 / ranks))
    metrics: dict[str, np.ndarray] = {}
    for cut in k:
        low, high = np.minimum(greater, cut), np.minimum(greater + equal, cut)
        reached = high - low
        best = np.minimum(relevant, cut)
        reciprocal = harmonic[high] - harmonic[low]
        certain = (above + 1) * reciprocal
        # sum of (j - 1)/(a + j) over j = 1..reached, with (j - 1)/(a + j) = 1 - (a + 1)/(a + j)
        shared = reached - (greater + 1) * reciprocal
        shared = shared * (tied - 1) / np.maximum(equal - 1, 1)
        metrics[f"recall@{cut}"] = total(reached / equal) / relevant
        metrics[f"ndcg@{cut}"] = total((gain[high] - gain[low]) / equal) / gain[best]
        metrics[f"map@{cut}"] = total((certain + shared) / equal) / best

    first = np.full(len(users), -1, np.int64)  # one target of each user's best group
    leading = np.flatnonzero(above == 0)
    first[place[leading]] = leading
    a, n, r = greater[first], equal[first], tied[first]
    hits, reciprocals = ({cut: np.zeros(len(users)) for cut in k} for _ in range(2))
    missed, open_users = np.ones(len(users)), np.arange(len(users))
    for j in range(1, deepest + 1):
        chance = missed * np.minimum(r / np.maximum(n - j + 1, 1), 1.0)
        missed = missed - chance
        for cut in k:
            inside = a + j <= cut
            hits[cut][open_users] += np.where(inside, chance, 0.0)
            reciprocals[cut][open_users] += np.where(inside, chance / (a + j), 0.0)
        # Without ties the first rank decides.
        going_on = missed > 0
        if not going_on.any():
            break
        a, n, r, missed = (values[going_on] for values in (a, n, r, missed))
        open_users = open_users[going_on]
    for cut in k:
        metrics[f"hr@{cut}"], metrics[f"mrr@{cut}"] = hits[cut], reciprocals[cut]
    return users, {name: metrics[name] for name in metric_names(k)}
