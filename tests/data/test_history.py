import numpy as np
import pytest

from tfrec_fusion.data import History

# User 0 has items 5, 6, 7; user 1 none; user 2 has item 8.
HISTORY = History(
    np.array([0, 3, 3, 4]), np.array([5, 6, 7, 8], np.int32), np.array([1.0, 2.0, 3.0, 9.0])
)


def test_of_one_user():
    assert HISTORY.of(0).tolist() == [5, 6, 7]
    assert HISTORY.of(1).tolist() == []
    assert HISTORY.of(-1).tolist() == []
    assert HISTORY.lengths.tolist() == [3, 0, 1]


@pytest.mark.parametrize(
    ("last", "splits", "items", "times"),
    [
        (None, [0, 1, 1, 4, 4], [8, 5, 6, 7], [9, 1, 2, 3]),
        (2, [0, 1, 1, 3, 3], [8, 6, 7], [9, 2, 3]),
        (0, [0, 0, 0, 0, 0], [], []),
    ],
)
def test_take_keeps_the_last_events(last, splits, items, times):
    taken = HISTORY.take(np.array([2, -1, 0, 1]), last)
    assert taken.splits.tolist() == splits
    assert taken.items.tolist() == items
    assert taken.times.tolist() == times


def test_take_without_times():
    taken = History(HISTORY.splits, HISTORY.items, None).take(np.array([0]))
    assert taken.items.tolist() == [5, 6, 7]
    assert taken.times is None


def test_histories_are_distinct_and_in_time_order(make_events):
    events = make_events(
        [("u", "b", 3), ("u", "a", 2), ("v", "c", 1), ("u", "b", 1), ("u", "c", 2)]
    )
    histories = events.histories()
    # u: b first at 1, then a and c at 2 in the order of the rows. v: c at 1.
    assert histories.splits.tolist() == [0, 3, 4]
    assert histories.items.tolist() == [1, 0, 2, 2]
    assert histories.times.tolist() == [1, 2, 2, 1]
