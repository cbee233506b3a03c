import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.evaluation.expectation import expected_metrics, tie_groups


def metrics_of_order(relevant, cuts):
    """The textbook definitions for one ranked list of booleans."""
    values = {}
    m = sum(relevant)
    for cut in cuts:
        top = relevant[:cut]
        dcg = sum(hit / np.log2(rank + 1) for rank, hit in enumerate(top, 1))
        ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(m, cut) + 1))
        precisions = [sum(top[: i + 1]) / (i + 1) for i, hit in enumerate(top) if hit]
        values[f"recall@{cut}"] = sum(top) / m
        values[f"ndcg@{cut}"] = dcg / ideal
        values[f"hr@{cut}"] = float(any(top))
        values[f"mrr@{cut}"] = 1 / (top.index(True) + 1) if any(top) else 0.0
        values[f"map@{cut}"] = sum(precisions) / min(m, cut)
    return values


def brute_force(scores, targets, cuts):
    """The mean over all orders of the items that agree with the scores."""
    total, orders = {}, 0
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            orders += 1
            for name, value in metrics_of_order([i in targets for i in order], cuts).items():
                total[name] = total.get(name, 0.0) + value
    return {name: value / orders for name, value in total.items()}


def counted(scores, targets, cuts):
    scores, targets = np.asarray(scores, np.float32), np.asarray(targets)
    user, own = np.zeros(len(targets), int), scores[targets]
    greater = (scores > own[:, None]).sum(1)
    equal = (scores == own[:, None]).sum(1)
    return expected_metrics(user, greater, equal, *tie_groups(user, own), cuts)[1]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_equals_the_mean_over_all_orders_of_the_ties(data):
    n = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    targets = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    cuts = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True))
    expected = brute_force(scores, targets, cuts)
    for name, value in counted(scores, targets, cuts).items():
        assert value[0] == pytest.approx(expected[name], abs=1e-12), name


def test_five_items_by_hand():
    # Scores 5 4 3 2 1 of items 0..4, relevant 1 and 3: ranks 2 and 4.
    metrics = counted([5, 4, 3, 2, 1], [1, 3], [1, 3, 5])
    # k=3: one of two found; DCG 1/log2(3) = .63093, ideal 1 + .63093.
    assert metrics["recall@3"][0] == pytest.approx(1 / 2)
    assert metrics["ndcg@3"][0] == pytest.approx(0.63092975 / 1.63092975)
    assert metrics["hr@3"][0] == 1
    assert metrics["mrr@3"][0] == pytest.approx(1 / 2)
    assert metrics["map@3"][0] == pytest.approx((1 / 2) / 2)
    # k=5: both found; DCG .63093 + 1/log2(5) = .43068; precisions 1/2 and 2/4.
    assert metrics["recall@5"][0] == 1
    assert metrics["ndcg@5"][0] == pytest.approx((0.63092975 + 0.43067656) / 1.63092975)
    assert metrics["map@5"][0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    # k=1: nothing.
    assert {metrics[f"{m}@1"][0] for m in ("recall", "ndcg", "hr", "mrr", "map")} == {0.0}


def test_a_tie_by_hand():
    # Scores 1 1 0, relevant 0: rank 1 or 2, equally likely. HR@1 1/2; MRR (1 + 1/2) / 2.
    metrics = counted([1, 1, 0], [0], [1, 2])
    assert metrics["hr@1"][0] == pytest.approx(0.5)
    assert metrics["mrr@2"][0] == pytest.approx(0.75)
    assert metrics["ndcg@2"][0] == pytest.approx((1 + 0.63092975) / 2)


@given(st.integers(2, 400), st.integers(1, 30), st.data())
@settings(max_examples=50, deadline=None)
def test_a_constant_score_gets_what_chance_gets(n, k, data):
    m = data.draw(st.integers(1, n))
    metrics = counted(np.zeros(n), np.arange(m), [k])
    # Each item is in the top k with chance min(k, n)/n; none of the m is with chance
    # (n-m)/n * (n-m-1)/(n-1) * ... over k places.
    assert metrics[f"recall@{k}"][0] == pytest.approx(min(k, n) / n)
    places = np.arange(min(k, n))
    missed = np.prod(np.maximum(n - m - places, 0) / (n - places))
    assert metrics[f"hr@{k}"][0] == pytest.approx(1 - missed)


def test_users_are_kept_apart_and_ascending():
    user = np.array([7, 3, 7])
    one = np.ones(3, int)
    greater = np.array([0, 4, 1])
    users, metrics = expected_metrics(user, greater, one, np.array([0, 0, 1]), one, [2])
    assert users.tolist() == [3, 7]
    assert metrics["recall@2"].tolist() == [0.0, 1.0]


def test_tie_groups_by_hand():
    user = np.array([1, 0, 1, 1, 0])
    scores = np.array([2.0, 9.0, 3.0, 2.0, 9.0])
    above, tied = tie_groups(user, scores)
    assert above.tolist() == [1, 0, 0, 1, 0]
    assert tied.tolist() == [2, 2, 1, 2, 2]
