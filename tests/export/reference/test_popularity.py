from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion.export.reference.popularity import popularity_groups


def test_groups_by_hand():
    # Of 20 events item 2 has the first ten, then items 1 and 3 five each; item 0 has none.
    assert popularity_groups([0, 5, 10, 5]).tolist() == [10, 5, 0, 7]


def test_without_events_all_are_in_the_last():
    assert popularity_groups([0, 0]).tolist() == [10, 10]
    assert popularity_groups([]).tolist() == []


@given(st.lists(st.integers(0, 50), max_size=40))
def test_more_events_never_come_later(events):
    groups = popularity_groups(events)
    for count, group in zip(events, groups, strict=True):
        assert (group == 10) == (count == 0)
        assert all(other >= group for n, other in zip(events, groups, strict=True) if n < count)
