import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.errors import InputError
from tfrec_fusion.metrics import GroupedAUC, gauc, grouped_auc_counts

# user a: positive 3 against 1 and 2: both below, AUC 1.
# user b: positive 5 against 5: a tie, AUC .5.
# user c: two positives 2 and 0 against 1 and 1: 2 beats both, 0 loses to both, AUC .5.
# user d has positives only and does not count.
USERS = np.array(["a", "b", "c", "a", "c", "d", "a", "b", "c", "c"])
LABELS = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
SCORES = np.array([3.0, 5, 2, 1, 0, 9, 2, 5, 1, 1])


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("impressions", (3 * 1 + 2 * 0.5 + 4 * 0.5) / 9),
        ("positives", (1 * 1 + 1 * 0.5 + 2 * 0.5) / 4),
        ("users", (1 + 0.5 + 0.5) / 3),
    ],
)
def test_by_hand(weights, expected):
    assert gauc(USERS, LABELS, SCORES, weights) == pytest.approx(expected)


rows = st.lists(
    st.tuples(st.integers(-1, 3), st.booleans(), st.integers(0, 4)), min_size=1, max_size=40
)


@settings(deadline=None)
@given(rows)
def test_equals_counting_pairs(rows):
    users, labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    total = weight = 0.0
    for user in set(users):
        mine = users == user
        high, low = scores[mine & labels], scores[mine & ~labels]
        if len(high) and len(low):
            pairs = np.sign(high[:, None] - low[None, :]) / 2 + 0.5
            total, weight = total + mine.sum() * pairs.mean(), weight + mine.sum()
    if weight:
        assert gauc(users, labels, scores) == pytest.approx(total / weight)
    else:
        assert np.isnan(gauc(users, labels, scores))


@settings(deadline=None)
@given(rows, st.randoms())
def test_order_of_rows_and_scale_of_scores_do_not_matter(rows, random):
    users, labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    before = gauc(users, labels, scores)
    order = np.array(random.sample(range(len(rows)), len(rows)))
    after = gauc(users[order], labels[order], np.exp(scores[order]) + 100 * users[order])
    assert after == pytest.approx(before, nan_ok=True)


def test_users_of_one_label_are_counted():
    found = grouped_auc_counts(USERS, LABELS, SCORES, "users")
    assert found == GroupedAUC(pytest.approx((1 + 0.5 + 0.5) / 3), 3, 1)
    only = grouped_auc_counts(["a", "b"], [1, 0], [0.5, 0.25])
    assert np.isnan(only.gauc) and (only.users, only.left_out) == (0, 2)


def test_no_rows():
    assert np.isnan(gauc([], [], []))
    assert grouped_auc_counts([], [], [])[1:] == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1, 2], [1], [0.5, 0.5]), "equal length"),
        (([[1]], [[1]], [[0.5]]), "equal length"),
        (([1, 1], [1, 0], [0.5, np.nan]), "1 scores are not finite"),
        (([1, 1], [1, 0], [0.5, 0.1], "clicks"), "weights must be"),
        ((["a", None, None], [1, 0, 1], [0.5, 0.1, 0.2]), "gauc: 2 users are missing. .*None"),
        (([1, np.nan, np.nan], [1, 0, 1], [0.5, 0.1, 0.2]), "gauc: 2 users are missing. .*nan"),
        ((np.array(["a", 1], object), [1, 0], [0.5, 0.1]), "users must be .* of one kind"),
    ],
)
def test_a_mistake_is_named(arguments, says):
    with pytest.raises(InputError, match=says):
        gauc(*arguments)
