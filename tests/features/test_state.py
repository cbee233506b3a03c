import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import DataSpec, ItemTrend, State
from tfrec_fusion.times import DAY

# user, item, day; v takes a twice.
ROWS = [("u", "a", 0), ("v", "a", 1), ("u", "b", 3), ("v", "a", 4), ("v", "c", 6)]


def _spec(events, names=None, **options):
    numbers = {"price": "number"} if "price" in events.catalogue.frame else {}
    if names is None:
        names = ItemTrend(events, numbers).names
    sizes = {"n_users": 3, "n_items": 3, "users": "", "items": "", "vector_dims": {}}
    return DataSpec(**sizes, feature_names=tuple(names), numbers=numbers, **options)


def test_as_of_a_day_by_hand(events_of):
    state = State.of(events_of(ROWS), at=5 * DAY)
    assert state.time == 5 * DAY
    assert state.seen.tolist() == [True, True, False]
    # u took a, b on days 0, 3; v took a on day 1, and again, which does not count.
    items, rows, ages = state.flat_histories(np.array([1, -1, 0]))
    assert items.tolist() == [0, 0, 1] and rows.tolist() == [0, 2, 2]
    assert ages.tolist() == [4, 5, 2]
    assert state.matrix.toarray().tolist() == [[1, 1, 0], [1, 0, 0]]


def test_padded_histories_by_hand(events_of):
    items, ages = State.of(events_of(ROWS)).padded_histories(np.array([1, -1, 0]), 3)
    assert items.tolist() == [[-1, 0, 2], [-1, -1, -1], [-1, 0, 1]]
    # The moment after the last event is day 6 and a second.
    second = 1 / 86400
    expected = [[0, 5 + second, second], [0, 0, 0], [0, 6 + second, 3 + second]]
    np.testing.assert_allclose(ages, expected, rtol=1e-5)
    short, _ = State.of(events_of(ROWS)).padded_histories(np.array([0]), 1)
    assert short.tolist() == [[1]]


def test_features_come_in_the_order_of_the_spec(events_of):
    events = events_of(ROWS, price=[np.e - 1, np.nan, 0.0])
    found, unknown = State.of(events).item_features(_spec(events, ["price", "unseen", "log_age"]))
    # sign(x) log(1 + |x|); all three were seen; ages of 6, 3 and 0 days, as log1p / 4.
    np.testing.assert_allclose(found[:, 0], [1, np.nan, 0], rtol=1e-6)
    assert found[:, 1].tolist() == [0, 0, 0]
    np.testing.assert_allclose(found[:, 2], np.log1p([6, 3, 0]) / 4, atol=1e-4)
    assert np.isnan(unknown[0]) and unknown[1:].tolist() == [1, 0]


def test_without_times(make_events):
    events = make_events([("u", "a"), ("u", "b"), ("v", "b")], items="abc")
    state = State.of(events)
    assert state.time is None and state.seen.tolist() == [True, True, False]
    assert state.flat_histories(np.array([0]))[2].tolist() == [0, 0]
    features, unknown = state.item_features(_spec(events, []))
    assert features.shape == (3, 0) and unknown.shape == (0,)


def test_the_matrix_leaves_the_histories_in_order(events_of):
    state = State.of(events_of([("u", "c", 0), ("u", "a", 1), ("u", "c", 2)]).with_repeats("all"))
    assert state.matrix.toarray().tolist() == [[1, 0, 2]]
    assert state.histories.items.tolist() == [2, 0, 2]


def test_ages_are_steps_where_events_have_positions():
    frame = pd.DataFrame(
        [("u", "a", 9), ("v", "b", 5), ("u", "b", 4), ("u", "c", 6)],
        columns=["user_id", "item_id", "position"],
    )
    state = State.of(
        Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": list("abc")})))
    )
    # u took b, c, a; v took b.
    items, rows, ages = state.flat_histories(np.array([0, -1, 1]))
    assert items.tolist() == [1, 2, 0, 1] and rows.tolist() == [0, 0, 0, 2]
    assert ages.tolist() == [2, 1, 0, 0] and ages.dtype == np.float32
    assert state.aged_histories().times.tolist() == [2, 1, 0, 0]
    assert state.cut(2).flat_histories(np.array([0]))[2].tolist() == [1, 0]
    # Rankers are trained without ages of positions.
    items, ages = state.padded_histories(np.array([0]), 2)
    assert items.tolist() == [[2, 0]] and ages.tolist() == [[0, 0]]


@pytest.mark.parametrize("at", [None, 1.0])
def test_what_is_refused(make_events, events_of, at):
    undated = make_events([("u", "a")], items="a")
    if at is not None:
        with pytest.raises(InputError, match="at needs events with a 'timestamp'"):
            State.of(undated, at)
        with pytest.raises(InputError, match="none of the 5 events is positive and before 0"):
            State.of(events_of(ROWS), 0.0)
        return
    with pytest.raises(InputError, match=r"the events lack .* the model reads, e\.g\. 'log_age'"):
        State.of(undated).item_features(_spec(undated, ["log_age"]))
    with pytest.raises(InputError, match="State"):
        State.of(pd.DataFrame({"user_id": ["u"]}))


@settings(deadline=None, max_examples=60)
@given(
    past=st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abc"), st.integers(0, 499)), min_size=1
    ),
    future=st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abc"), st.integers(500, 1000)),
        max_size=12,
    ),
    label=st.integers(0, 1),
)
def test_nothing_after_the_time_changes_anything(past, future, label):
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abc"), "price": [1.0, 2.0, np.nan]}))

    def state(rows):
        frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
        frame["label"] = np.where(frame["timestamp"] < 500, 1, label)
        frame["timestamp"] *= DAY
        return State.of(Interactions.from_frame(frame, catalogue), at=500 * DAY)

    alone, later = state(past), state([*past, *future])
    spec = _spec(alone.events)
    for mine, theirs in zip(alone.item_features(spec), later.item_features(spec), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(alone.seen, later.seen)
    for user in "uvw":
        mine, theirs = (s.padded_histories(s.events.users.rows([user]), 5) for s in (alone, later))
        np.testing.assert_array_equal(mine, theirs)
        mine, theirs = (s.flat_histories(s.events.users.rows([user])) for s in (alone, later))
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_histories_cut_to_their_last_items(events_of):
    """u took a, b and v took a, c; the matrix has what is left of the histories."""
    state = State.of(events_of(ROWS))
    one = state.cut(1)
    assert one.flat_histories(np.array([0, 1]))[0].tolist() == [1, 2]
    assert one.matrix.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert one.padded_histories(np.array([1]), 2)[0].tolist() == [[-1, 2]]
    assert len(state.cut(0).flat_histories(np.array([0, 1]))[0]) == 0
    assert state.cut(None).matrix.nnz == 4
    for wrong in (-1, 1.5, "x", True):
        with pytest.raises(InputError, match="last must be a whole number of 0 or more, or None"):
            state.cut(wrong)
    # What is known of the items stays.
    assert one.seen.tolist() == state.seen.tolist()
    assert one.time == state.time
