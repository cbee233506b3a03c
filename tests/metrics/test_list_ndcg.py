from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.errors import InputError
from tfrec_fusion.metrics import ndcg_of_lists
from tfrec_fusion.metrics.list_ndcg import list_ndcgs

SECOND = 1 / np.log2(3)


def test_by_hand():
    # List a: labels 2, 0, 1 by score, so 3 + 1/2 of 3 + 1/log2 3. List b: no gain. List c: 1 of 1.
    lists = np.array(["c", "a", "b", "a", "a", "b"])
    labels = np.array([4, 0, 0, 1, 2, -1])
    scores = np.array([0.0, 5, 1, 4, 6, 2])
    expected = (3 + 1 / 2) / (3 + SECOND)
    np.testing.assert_allclose(list_ndcgs(lists, labels, scores), [expected, np.nan, 1])
    assert ndcg_of_lists(lists, labels, scores) == pytest.approx((expected + 1) / 2)
    # Of two ranks the last is not seen, though it is among the best two.
    found = list_ndcgs(lists, labels, scores, k=2)
    np.testing.assert_allclose(found, [3 / (3 + SECOND), np.nan, 1])


def test_ties_share_their_discounts():
    # The gains 3, 1 and 0 in any order: (1 + 1/log2 3 + 1/2) / 3 for each.
    found = ndcg_of_lists([1, 1, 1], [2, 0, 1], [0.5, 0.5, 0.5])
    assert found == pytest.approx(4 * (1 + SECOND + 1 / 2) / 3 / (3 + SECOND))
    # A tie over the cut: one of two is seen.
    assert ndcg_of_lists([1, 1], [1, 0], [0.5, 0.5], k=1) == 0.5


def test_large_labels_do_not_overflow():
    # The gain 2^1999 is half of 2^2000.
    found = ndcg_of_lists([1, 1], [2000, 1999], [0.0, 1.0])
    assert found == pytest.approx((1 / 2 + SECOND) / (1 + SECOND / 2))


def test_no_rows_and_no_gains():
    assert np.isnan(ndcg_of_lists([], [], []))
    assert np.isnan(ndcg_of_lists([1, 1], [0, 0], [0.5, 0.1]))


rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-1, 3), st.integers(0, 2)), min_size=1, max_size=8
)


@settings(max_examples=50, deadline=None)
@given(rows, st.sampled_from([1, 2, None]), st.randoms(use_true_random=False))
def test_equals_the_mean_over_all_orders_of_equal_scores(rows, k, random):
    lists, labels, scores = (np.array(column) for column in zip(*rows, strict=True))

    def dcg(gains):
        gains = np.array(gains[:k])
        return gains @ (1 / np.log2(2 + np.arange(len(gains))))

    expected = []
    for one in sorted(set(lists)):
        gains, s = 2.0 ** np.maximum(labels[lists == one], 0) - 1, scores[lists == one]
        orders = [
            [gains[i] for i in order]
            for order in permutations(range(len(s)))
            if all(s[a] >= s[b] for a, b in pairwise(order))
        ]
        best = dcg(sorted(gains, reverse=True))
        expected.append(np.mean([dcg(order) for order in orders]) / best if best else np.nan)
    np.testing.assert_allclose(list_ndcgs(lists, labels, scores, k), expected)
    shuffled = random.sample(range(len(rows)), len(rows))
    again = list_ndcgs(lists[shuffled], labels[shuffled], scores[shuffled], k)
    np.testing.assert_allclose(again, expected)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (([1, 2], [1], [0.5, 0.5]), "lists, labels and scores must be .* equal length"),
        (([1], [np.nan], [0.5]), "1 labels are not finite"),
        (([1], [1], [0.5], 0), "k, .* must be a whole number of 1 or more. Received: 0"),
        (([1], [1], [0.5], 1.5), "k, .* must be a whole number of 1 or more. Received: 1.5"),
        (([1, None], [1, 0], [0.5, 0.5]), "1 lists are missing. Received: None"),
    ],
)
def test_a_mistake_is_named(arguments, told):
    with pytest.raises(InputError, match=f"ndcg_of_lists: {told}"):
        ndcg_of_lists(*arguments)
