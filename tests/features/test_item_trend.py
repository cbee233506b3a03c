import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.times import DAY

ROWS = [("u", "a", 0), ("v", "a", 10), ("u", "b", 98), ("v", "b", 99), ("w", "c", 100)]


def test_shares_ages_and_unseen(events_of):
    trend = ItemTrend(events_of(ROWS))
    features, seen = trend.at(100 * DAY)
    value = dict(zip(trend.names, features.T, strict=True))
    # Before day 100: a on days 0 and 10, b on 98 and 99, c (on day 100 itself) never.
    assert seen.tolist() == [True, True, False]
    # The last 7 days have 2 events, both b: shares (0+1)/(2+3) and (2+1)/5, times 3 items.
    np.testing.assert_allclose(value["log_share_7d"], np.log([0.6, 1.8, 0.6]), rtol=1e-6)
    # All 4 events: (2+1)/7, (2+1)/7, 1/7, times 3.
    np.testing.assert_allclose(value["log_share"], np.log([9 / 7, 9 / 7, 3 / 7]), rtol=1e-6)
    np.testing.assert_allclose(value["rise_7d"], value["log_share_7d"] - value["log_share"])
    np.testing.assert_allclose(value["log_age"], np.log1p([100, 2, 0]) / 4, rtol=1e-6)
    np.testing.assert_allclose(value["log_since_last"], np.log1p([90, 1, 0]) / 4, rtol=1e-6)
    assert value["unseen"].tolist() == [0, 0, 1]


def test_year_ago_is_the_window_that_began_a_year_before(events_of):
    trend = ItemTrend(events_of([("u", "a", 0), ("u", "b", 44), ("u", "c", 46), ("v", "c", 400)]))
    features, _ = trend.at(365 * DAY)
    year_ago = features[:, trend.names.index("log_share_year_ago")]
    # Days 0 to 45 hold a and b: (1+1)/(2+3) * 3 = 1.2, and for c 1/5 * 3.
    np.testing.assert_allclose(year_ago, np.log([1.2, 1.2, 0.6]), rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abc"), st.integers(0, 200)), min_size=2
    ),
    st.integers(1, 200),
)
def test_nothing_from_the_time_on_matters(rows, day):
    rows.append(("u", "a", 0))
    import pandas as pd

    from tfrec_fusion.data import Catalogue, Interactions

    catalogue = Catalogue(pd.DataFrame({"item_id": list("abc")}))

    def at(chosen):
        frame = pd.DataFrame(chosen, columns=["user_id", "item_id", "timestamp"])
        frame["timestamp"] *= DAY
        return ItemTrend(Interactions.from_frame(frame, catalogue)).at(day * DAY)

    whole, past = at(rows), at([row for row in rows if row[2] < day])
    np.testing.assert_array_equal(whole[0], past[0])
    np.testing.assert_array_equal(whole[1], past[1])


def test_numeric_columns_are_signed_logs_by_name(events_of):
    events = events_of(
        [("u", "a", 0), ("u", "b", 1)], price=[np.e - 1, 1 - np.e**3, np.nan], age=[0, 0, 0]
    )
    trend = ItemTrend(events)
    assert trend.names[-2:] == ("age", "price")
    # log1p gives 1 and 3; nothing is fitted here, so that a number is the same in any events.
    np.testing.assert_allclose(trend.at(2 * DAY)[0][:, -1], [1, -3, np.nan], rtol=1e-5)
    chosen = ItemTrend(events, ["price", "age"])
    assert chosen.names[-2:] == ("price", "age")
    np.testing.assert_allclose(chosen.at(2 * DAY)[0][:, -2], [1, -3, np.nan], rtol=1e-5)


def test_an_item_of_which_nothing_is_known(events_of):
    # c has no event before day 100 and no price, which is all that there is to know.
    trend = ItemTrend(events_of(ROWS[:4], price=[1.0, 2.0, np.nan]))
    np.testing.assert_array_equal(trend.unseen(100 * DAY), trend.at(100 * DAY)[0][2])


def test_needs_times(events_of):
    events = events_of(ROWS)
    events._columns = events._columns.drop(columns="timestamp")
    with pytest.raises(InputError, match="'timestamp'"):
        ItemTrend(events)
