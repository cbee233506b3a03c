import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions, sample_folder
from tfrec_fusion.data.stray_times import YEAR, stray_times
from tfrec_fusion.errors import InputError
from tfrec_fusion.times import DAY

NOW = 1.8e9  # January 2027
MILLENNIUM = 946_684_800.0  # 2000-01-01


@pytest.fixture(scope="module")
def sample():
    table = pd.read_parquet(sample_folder() / "interactions.parquet")
    return table, Catalogue.from_parquet(sample_folder() / "items.parquet")


def _read(sample, times, **options):
    table, shop = sample
    table = table.astype({"timestamp": float})
    table.loc[list(range(10, 10 + len(times))), "timestamp"] = times
    return Interactions.from_frame(table, shop, **options)


@pytest.mark.parametrize(
    ("time", "reason", "date"),
    [
        (0, "at or near 0, probably missing or in another unit", "1970-01-01"),
        (-1, "at or near 0, probably missing or in another unit", "1969-12-31"),
        (2_145_916_800, "after today", "2038-01-01"),
        (MILLENNIUM, "far from all others", "2000-01-01"),
        (-2_208_988_800, "far from all others", "1900-01-01"),
    ],
)
def test_one_stray_is_refused_and_can_be_dropped_or_kept(sample, caplog, time, reason, date):
    says = rf"has 1 of 60000 times {reason}, first at rows 10 \({date}.*stray_times='drop'"
    with pytest.raises(InputError, match=says):
        _read(sample, [time])
    with caplog.at_level(logging.WARNING):
        dropped = _read(sample, [time], stray_times="drop")
    assert len(dropped) == 59_999 and time not in dropped.timestamp
    assert f"dropped 1 events with times {reason}" in caplog.text
    kept = _read(sample, [time], stray_times="keep")
    assert len(kept) == 60_000 and time in kept.timestamp


def test_strays_at_both_ends_are_dropped_together(sample):
    events = _read(sample, [0, 2_145_916_800, MILLENNIUM], stray_times="drop")
    assert len(events) == 59_997
    assert events.timestamp.max() - events.timestamp.min() < 2.1 * YEAR


@pytest.mark.parametrize("share", [0.1, 0.6])
@pytest.mark.parametrize("value", [0, -1])
def test_missing_times_are_refused_however_many_there_are(value, share):
    times = MILLENNIUM + np.arange(1000.0) * DAY
    times[: int(share * 1000)] = value
    found = stray_times(times, NOW)
    assert {reason: int(mask.sum()) for reason, mask in found.items()} == {
        "at or near 0, probably missing or in another unit": int(share * 1000)
    }


def test_seconds_among_milliseconds_are_refused(sample):
    table, shop = sample
    times = table["timestamp"].to_numpy(float) * 1000
    times[::10] /= 1000
    with pytest.raises(InputError, match=r"has 6000 of 60000 times at or near 0"):
        Interactions.from_frame(table.assign(timestamp=times), shop, timestamp_unit="ms")


@pytest.mark.parametrize("seconds", [86400, 3600, 60])
def test_days_hours_and_minutes_taken_for_seconds_are_told(sample, caplog, seconds):
    table, shop = sample
    with caplog.at_level(logging.WARNING):
        Interactions.from_frame(table, shop)
        assert "before 1990" not in caplog.text
        Interactions.from_frame(table.assign(timestamp=table["timestamp"] // seconds), shop)
    assert "all times are before 1990" in caplog.text and "86400" in caplog.text


def test_an_unknown_choice_is_refused(sample):
    with pytest.raises(InputError, match=r"stray_times must be one of.*Received: 'clip'"):
        _read(sample, [], stray_times="clip")


def _growing(n):
    """Twenty years of a shop whose events double each year, so that the first years have few."""
    years = 20 - np.random.default_rng(0).exponential(1 / np.log(2), n)
    return MILLENNIUM + np.maximum(years, 0) * YEAR


LEGITIMATE = {
    "seconds from 0": np.arange(200.0),
    "days from 0": np.arange(0, 2000, 10) * DAY,
    "twenty years": MILLENNIUM + np.linspace(0, 20, 500) * YEAR,
    "growing": _growing(20_000),
    "shrinking": 2 * MILLENNIUM - _growing(20_000),
    "a season a year": MILLENNIUM + np.repeat(np.arange(8), 50) * YEAR + np.tile(np.arange(50), 8),
    "a pilot, then a launch": MILLENNIUM + np.append(np.arange(5), 200 + np.arange(300)) * DAY,
    "few events over decades": MILLENNIUM + np.array([0, 8, 9, 20]) * YEAR,
    "one moment": np.full(300, 1.7e9),
    "today, an hour ahead of UTC": NOW + 3600 - np.arange(300) * DAY,
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_sparse_old_and_short_data_are_no_strays(name):
    times = np.random.default_rng(1).permutation(LEGITIMATE[name])
    assert stray_times(times, NOW) == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 0.99), min_size=1, max_size=200), st.integers(0, 2**31))
def test_gaps_below_a_year_are_never_refused(gaps, seed):
    times = NOW - np.cumsum(gaps) * YEAR
    times = np.random.default_rng(seed).permutation(np.append(times, np.full(100, NOW)))
    assert "far from all others" not in stray_times(times, NOW)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(100, 300),
    st.floats(0, 8),
    st.floats(1.01, 2),
    st.integers(1, 5),
    st.booleans(),
)
def test_what_lies_further_off_than_the_others_span_is_found(n, span, distance, count, late):
    # Of 100 events and more up to 5 at a distance beyond a year and the span of the others.
    bulk = MILLENNIUM - 10 * YEAR + np.linspace(0, span, n) * YEAR
    away = distance * max(span, 1) * YEAR
    stray = bulk[-1] + away if late else bulk[0] - away
    times = np.append(bulk, np.full(count, stray))
    found = stray_times(times, NOW)
    assert found["far from all others"].tolist() == [False] * n + [True] * count
