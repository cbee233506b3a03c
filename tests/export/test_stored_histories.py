import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.data import History
from tfrec_fusion.export.stored_histories import StoredHistories


def _read(stored, users):
    pairs, ages = stored.of(tf.constant(users, tf.int32))
    return pairs.numpy(), ages.numpy()


def test_packed_by_hand():
    # User 0 has items 300 and 2, user 1 none, user 2 the first item and one 70,000 further on.
    items = np.array([300, 2, 0, 70_000], np.int32)
    ages = np.array([0, 1, 2, 3], np.float32)
    stored = StoredHistories(History(np.array([0, 2, 2, 4]), items, ages), "float16")
    # Gaps are counted from -1: 3; 298 = 255 + 43; 1; 70,000 = 255 * 255 + 19 * 255 + 130.
    assert stored.items.numpy().tolist() == [3, 0, 43, 1, 0, 0, 130]
    assert stored.ages.numpy().tolist() == [1, 1, 0, 2, 255, 19, 3]
    assert stored.splits.numpy().tolist() == [0, 3, 3, 7]
    pairs, ages = _read(stored, [2, 0, -1, 1, 0])
    assert pairs.tolist() == [[0, 0], [0, 70_000], [1, 2], [1, 300], [4, 2], [4, 300]]
    assert ages.tolist() == [2, 3, 1, 0, 1, 0]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 200_000), unique=True, max_size=6), min_size=1, max_size=5),
    st.sampled_from(["float32", "bfloat16", "int8"]),
    st.data(),
)
def test_what_goes_in_comes_out(lists, precision, data):
    splits = np.concatenate([[0], np.cumsum([len(items) for items in lists])])
    items = np.array([item for own in lists for item in own], np.int32)
    ages = np.linspace(0, 730, len(items)).astype(np.float32)
    marks = np.arange(len(items)) * data.draw(st.sampled_from([1, 200, 40_000]))
    stored = StoredHistories(History(splits, items, ages, marks), precision)
    plain = StoredHistories(History(splits, items, ages), precision)
    users = data.draw(st.lists(st.integers(-1, len(lists) - 1), max_size=6))
    rows = np.array(users, np.int32).reshape(-1)
    pairs, found = _read(plain, rows)
    *same, marked = (part.numpy() for part in stored.of(tf.constant(rows)))
    np.testing.assert_array_equal(same[0], pairs)
    np.testing.assert_array_equal(same[1], found)
    expected = {
        (place, item): age
        for place, user in enumerate(users)
        if user >= 0
        for item, age in zip(lists[user], ages[splits[user] :], strict=False)
    }
    places = [splits[users[u]] + lists[users[u]].index(item) for u, item in pairs.tolist()]
    assert marked.tolist() == marks[np.array(places, int)].tolist()
    assert len(pairs) == len(expected)
    assert np.all(np.diff(pairs[:, 0]) >= 0)
    for pair, age in zip(pairs.tolist(), found, strict=True):
        # log1p(730) / 255 is .0259, so an age and a day are off by half of it at most.
        error = {"float32": 0, "bfloat16": 2**-11, "int8": 0.0131}[precision]
        right = expected[tuple(pair)]
        assert abs(age - right) <= error * (right + 1)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_nobody_has_a_history(precision):
    nothing = History(np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    pairs, ages = _read(StoredHistories(nothing, precision), [2, -1])
    assert pairs.shape == (0, 2)
    assert ages.shape == (0,)
