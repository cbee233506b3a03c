import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions, sample_folder
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.examples.cuts import cut_times
from tfrec_fusion.times import DAY


def test_cuts_are_a_grid_back_from_the_end():
    # Events every day of 0 to 100, so the end is a second after day 100: cuts at 93, 86, ... 2.
    days = np.arange(101.0)
    cuts = cut_times(days * DAY, 7 * DAY, 45 * DAY, 150)
    np.testing.assert_allclose((cuts - 1) / DAY, np.arange(93, 0, -7))


def test_a_gap_costs_no_cuts():
    # Between the events of days 0 to 10 and 1000 to 1010, cuts reach back by the horizon of two
    # steps and no more: 1003 and 996 before the late events of 1003.5 to 1010, then 996 and 989
    # before those of 1000 to 1003; 9 and 2 follow the same grid, 1010 - 143 * 7 = 9.
    days = np.concatenate([np.arange(11.0), 1000 + np.arange(11.0)])
    cuts = cut_times(days * DAY, 7 * DAY, 14 * DAY, 150)
    np.testing.assert_allclose((cuts - 1) / DAY, [1003, 996, 989, 9, 2])


def test_too_many_cuts_are_thinned_at_quantiles_of_events():
    # Evenly many events: every second cut. Then four days with 401 events and 16 with one: a sixth
    # of all 1,620 is less than what follows each of the cuts before the four, so these stay.
    days = np.arange(0, 20, 0.25)
    assert np.unique(np.diff(cut_times(days * DAY, DAY, DAY, 10))).tolist() == [-2 * DAY]
    busy = np.concatenate([np.repeat([3.5, 8.5, 12.5, 17.5], 400), np.arange(20) + 0.6])
    cuts = cut_times(np.sort(busy) * DAY, DAY, DAY, 6)
    assert len(cuts) == 6
    assert {2, 7, 11, 16} <= set(np.floor(cuts / DAY).tolist())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 3e9), min_size=2, max_size=60),
    st.floats(1e-4, 400),
    st.floats(1e-3, 400),
    st.integers(1, 40),
)
def test_cuts_lie_among_the_events_and_are_bounded(times, step, horizon, most):
    times = np.sort(times)
    cuts = cut_times(times, step * DAY, horizon * DAY, most)
    assert len(cuts) <= most
    assert (np.diff(cuts) < 0).all()
    assert ((cuts > times[0]) & (cuts < times[-1] + 1)).all()


@pytest.fixture(scope="module")
def sample():
    table = pd.read_parquet(sample_folder() / "interactions.parquet").iloc[::10]
    return table, Catalogue.from_parquet(sample_folder() / "items.parquet")


def _with_strays(table, *times):
    table = table.reset_index(drop=True).copy()
    table.loc[range(len(times)), "timestamp"] = times
    return table


STRAYS = {"0": [0], "2038": [2_145_916_800], "both": [0, 2_145_916_800]}


_CASES = ["0", *(pytest.param(name, marks=pytest.mark.slow) for name in ("2038", "both"))]


@pytest.mark.parametrize("strays", _CASES)
def test_a_stray_that_is_kept_changes_no_training_cuts(sample, strays):
    table, shop = sample
    table = _with_strays(table, *STRAYS[strays])
    batches = {}
    for what in ("keep", "drop"):
        events = Interactions.from_frame(table, shop, stray_times=what)
        examples = events.batches(64)
        users = [batch["user"] for batch in examples.as_numpy_iterator()]
        weight = np.concatenate([batch["weight"] for batch in examples.as_numpy_iterator()])
        batches[what] = len(np.concatenate(users)), weight
    kept, dropped = batches["keep"], batches["drop"]
    # The user of the stray may be in each cut before it.
    assert abs(kept[0] - dropped[0]) < 0.03 * dropped[0]
    # None outweighs the others.
    assert kept[1].max() < 1.5 * dropped[1].max()


@pytest.mark.parametrize("strays", _CASES)
def test_a_stray_does_not_age_the_cuts_of_rankers(sample, strays):
    table, shop = sample
    lengths = {}
    for what in ("keep", "drop"):
        events = Interactions.from_frame(
            _with_strays(table, *STRAYS[strays]), shop, stray_times=what
        )
        rows = ranking_examples(events, 4096, negatives=1, shuffle=False).as_numpy_iterator()
        lengths[what] = np.mean(np.concatenate([(row["history"] >= 0).sum(1) for row in rows]))
    assert lengths["keep"] == pytest.approx(lengths["drop"], rel=0.03)


def _sessions(n=400, day=1.7e9):
    """Sessions of four clicks within ten minutes each, all on one day."""
    rng = np.random.default_rng(0)
    start = day + rng.uniform(0, 23 * 3600, n)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat([f"s{i}" for i in range(n)], 4),
            "item_id": [f"i{i}" for i in rng.integers(0, 50, 4 * n)],
            "timestamp": (start[:, None] + np.sort(rng.uniform(0, 600, (n, 4)))).ravel(),
        }
    )
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(50)]})
    return Interactions.from_frame(frame, Catalogue(items))


def test_sessions_of_one_day_give_examples():
    events = _sessions()
    examples = list(events.batches(64).as_numpy_iterator())
    users = np.unique(np.concatenate([batch["user"] for batch in examples]))
    # 150 cuts of a day lie ten minutes apart, and the clicks of a session span six on average.
    assert len(users) > 0.4 * len(events.users)
    for batch in examples:
        assert batch["history_age"].max() < 600 / DAY


def test_rankers_of_sessions_see_their_histories():
    rows = list(ranking_examples(_sessions(), 1024, negatives=1, history=8).as_numpy_iterator())
    known = np.concatenate([(row["history"] >= 0).any(1) for row in rows])
    assert known.mean() > 0.1
    seen = np.concatenate([row["is_warm"][:, 0] for row in rows])
    assert seen.mean() > 0.8


def test_a_few_days_of_events_are_enough():
    table = pd.read_parquet(sample_folder() / "interactions.parquet")
    week = table[table["timestamp"] > table["timestamp"].max() - 6 * DAY]
    shop = Catalogue.from_parquet(sample_folder() / "items.parquet")
    events = Interactions.from_frame(week, shop)
    histories = events.histories()
    returning = sum(
        np.ptp(histories.times[begin:end]) > 0
        for begin, end in zip(histories.splits[:-1], histories.splits[1:], strict=True)
        if end > begin
    )
    examples = events.batches(16).as_numpy_iterator()
    assert sum(len(batch["user"]) for batch in examples) >= returning > 0
