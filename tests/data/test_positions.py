"""Events in an order without times: the column `position`."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError

SHOP = Catalogue(pd.DataFrame({"item_id": list("abcdef")}))
# u takes c, a, b, a in this order; v takes b, c.
ROWS = [("u", "a", 7), ("v", "c", 5), ("u", "c", -2), ("u", "b", 8), ("v", "b", 4), ("u", "a", 10)]


def events_of(rows=ROWS, names=("user_id", "item_id", "position"), **options):
    return Interactions.from_frame(pd.DataFrame(rows, columns=list(names)), SHOP, **options)


def items(events, user):
    row = events.users.rows([user])[0]
    return "".join(SHOP.vocabulary.ids[events.histories().of(row)])


def test_histories_are_in_the_order_of_the_positions():
    events = events_of()
    assert events.timestamp is None and events.position.dtype == np.int64
    assert list(events.context) == []
    # Only u's first a counts; with repeats both do.
    assert (items(events, "u"), items(events, "v")) == ("cab", "bc")
    assert items(events.with_repeats("all"), "u") == "caba"
    assert events.histories().times is None
    # cab bc: two later, one later, none.
    assert events.histories().steps.tolist() == [2, 1, 0, 1, 0]
    assert events.histories().take(np.array([1, -1, 0]), 2).steps.tolist() == [1, 0, 1, 0]


def test_leave_one_out_holds_out_the_last():
    split = events_of().split("leave_one_out")
    ids = SHOP.vocabulary.ids
    pairs = zip(split.test.users.ids[split.test.user], ids[split.test.item], strict=True)
    assert set(pairs) == {("u", "b"), ("v", "c")}
    assert split.time is None
    # The next validation holds out u's a; v has one event left and keeps it.
    part = split.validation()
    assert ids[part.test.item].tolist() == ["a"] and part.kind == "leave_one_out"
    again = events_of().split("none").validation()
    assert again.kind == "leave_one_out"
    repeated = events_of(repeats="all").split("leave_one_out")
    assert sorted(ids[repeated.test.item]) == ["a", "c"]
    assert repeated.targets()[1].items.tolist() == [0, 2]


def test_there_is_no_temporal_split():
    with pytest.raises(InputError, match=r"'temporal' needs .*'timestamp'.*use 'leave_one_out'"):
        events_of().split("temporal")
    with pytest.raises(InputError, match=r"'leave_one_out' needs .* or 'position'.* use 'random'"):
        events_of([("u", "a"), ("v", "a")], ["user_id", "item_id"]).split("leave_one_out")


def test_times_count_and_positions_beside_them_are_context(caplog):
    columns = ["user_id", "item_id", "position", "timestamp"]
    rows = [("u", "a", 3, 1.7e9), ("u", "b", 3, 1.6e9), ("v", "a", 1.5, 1.6e9)]
    events = events_of(rows, columns)
    assert "'position' is a context column" in caplog.text
    assert items(events, "u") == "ba" and events.position is None
    assert events.context["position"].tolist() == [3, 3, 1.5]


def test_the_order_is_part_of_the_fingerprint():
    other = events_of([(user, item, -position) for user, item, position in ROWS])
    assert events_of().fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([1, 2.5, 3], r"whole numbers.*1 values are not\. Received: 2\.5 at row 1"),
        ([1, 2, 1], r"1 events have that of an earlier one.*Received: 1 twice for user 'u'"),
        ([1, None, 3], "column 'position' has 1 missing"),
        (["1", "x", "3"], "column 'position' must be numeric"),
        ([2.0**60, 1, 3], r"whole numbers.*Received: 1\.15292e\+18 at row 0"),
    ],
)
def test_bad_positions(positions, words):
    rows = list(zip("uvu", "abc", positions, strict=True))
    with pytest.raises(InputError, match=words):
        events_of(rows)


def test_events_without_a_position_can_be_dropped():
    rows = [("u", "a", 2), ("u", "b", None), ("u", "c", 1)]
    assert items(events_of(rows, nulls="drop"), "u") == "ca"


def test_a_column_of_another_name():
    events = events_of(ROWS, ["user_id", "item_id", "turn"], columns={"position": "turn"})
    assert items(events, "u") == "cab"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdef")), min_size=1), st.data()
)
def test_the_order_of_the_rows_does_not_matter(pairs, data):
    rows = [(user, item, 3 * place) for place, (user, item) in enumerate(pairs)]
    shuffled = events_of(data.draw(st.permutations(rows)))
    for user in {user for user, _ in pairs}:
        taken = dict.fromkeys(item for who, item in pairs if who == user)
        assert items(shuffled, user) == "".join(taken)
