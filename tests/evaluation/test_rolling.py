"""Evaluation at several origins: windows, no look ahead, pooled numbers, and going on."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import Window, evaluate, rolling_origins
from tfrec_fusion.evaluation.pooling import pool
from tfrec_fusion.models.classic import ItemKNN, Popularity, RecentPopularity
from tfrec_fusion.times import DAY

START = 1.6e9
ITEMS = "abcdefgh"


def _events(rows, items=ITEMS, **options):
    """Events of (user, item, day) triples."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] = START + DAY * frame["timestamp"]
    return Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": [*items]})), **options)


# Items e, f and g appear on the days 6, 8 and 9; w appears on day 7.
ROWS = [
    ("u", "a", 0), ("v", "a", 0), ("u", "b", 1), ("v", "c", 2),
    ("u", "c", 4), ("v", "b", 5), ("u", "e", 6), ("v", "e", 7),
    ("w", "a", 7), ("u", "f", 8), ("w", "g", 9), ("v", "d", 9),
]  # fmt: skip


class _Constant:
    """Scores items by their row, or in reverse, and keeps what it was trained on."""

    def __init__(self, sign=1.0):
        self.sign, self.trained = sign, []

    def fit(self, train):
        self.trained.append(train)
        return self

    def scorer(self, state):
        row = self.sign * np.arange(len(state.catalogue), dtype=np.float32)
        return lambda users: np.repeat(row[None], len(users), 0)


def test_windows_tile_the_tested_period():
    # 12 target events; the .5 quantile is between the 6th (day 5) and 7th (day 6): 5.5. The period
    # ends a second after day 9.
    events, end = _events(ROWS), START + 9 * DAY + 1
    starts = [START + 5.5 * DAY, START + 5.5 * DAY + (3.5 * DAY + 1) / 2]
    first, last = Window.rolling(events, 2, test=0.5)
    assert (first.start, first.end, last.start, last.end) == (starts[0], starts[1], starts[1], end)
    # Windows of 2 days start at 5.5 and end at the end; the middle one is centred.
    windows = Window.rolling(events, 3, test=0.5, window_days=2)
    assert [w.start for w in windows] == pytest.approx(
        [starts[0], (starts[0] + end) / 2 - DAY, end - 2 * DAY]
    )
    assert {w.end - w.start for w in windows} == {2 * DAY}
    (only,) = Window.rolling(events, 1, test=0.5, window_days=2)
    assert (only.start, only.end) == (starts[0], starts[0] + 2 * DAY)


@settings(max_examples=30, deadline=None)
@given(
    days=st.lists(st.floats(0, 900), min_size=3, max_size=30, unique=True),
    origins=st.integers(1, 7),
    test=st.floats(0.05, 0.95),
)
def test_each_tested_event_is_in_one_window(days, origins, test):
    events = _events([(f"u{i}", "a", day) for i, day in enumerate(days)])
    windows = Window.rolling(events, origins, test=test)
    times = events.timestamp
    inside = sum(((times >= w.start) & (times < w.end)).astype(int) for w in windows)
    np.testing.assert_array_equal(inside, times >= windows[0].start)
    assert all(w.end > w.start for w in windows)


def test_models_see_the_past_and_are_tested_on_the_window():
    model = _Constant()
    report = rolling_origins(
        model.fit, _events(ROWS), origins=2, test=0.5, bootstrap=0, progress=False
    )
    assert report.names == ["_Constant"]
    # The windows begin at day 5.5 and a little after day 7.25.
    assert [len(train) for train in model.trained] == [6, 9]
    assert [train.users.ids.tolist() for train in model.trained] == [["u", "v"], ["u", "v", "w"]]
    first, second = (origin["_Constant"] for origin in report.origins)
    # In the first w is new, so not evaluated, and e is cold for u and v.
    assert first.users.tolist() == ["u", "v"]
    assert first.cold_items == ("e",)
    # In the second u takes f, w takes g and v takes d, all without an event before.
    assert second.users.tolist() == ["u", "v", "w"]
    assert sorted(second.cold_items) == ["d", "f", "g"]
    assert sorted(report.cold_items) == ["d", "e", "f", "g"]
    assert report.counts["cold"] == {"users": 3, "cases": 5, "targets": 5}
    assert report.counts["total"] == {"users": 3, "cases": 5, "targets": 5}


def test_pooled_means_by_hand():
    """Items are ranked h, g, f, e, d, c, b, a, less those of the user's training."""
    events = _events(ROWS)
    report = rolling_origins(
        _Constant().fit, events, origins=2, test=0.5, k=[3], bootstrap=0, progress=False
    )
    # First: e is the 4th of u and v. Second: f is the 3rd of u, g the 2nd of w, and d is the 4th
    # of v, who has had e: so 1 / 3, 1 / 2 and 0.
    each = [origin["_Constant"].report.metrics for origin in report.origins]
    assert each[0]["total"]["mrr@3"] == 0
    assert each[1]["total"]["mrr@3"] == pytest.approx((1 / 3 + 1 / 2 + 0) / 3)
    found = report.metrics["_Constant"]
    assert found["total"]["mrr@3"] == pytest.approx((0 + 5 / 18) / 2)
    # Cold items: first d, e, f, g, h, where e is the 4th; second d, f, g, h: 3rd, 2nd, 4th. The
    # mean is over the five users of both.
    assert found["cold"]["mrr@3"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 2 + 0) / 5)
    # u and v are recommended h, g, f; then u and v again, and w too.
    assert found["total"]["coverage@3"] == pytest.approx(3 / 8)
    assert math.isnan(found["warm"]["mrr@3"])  # all targets are cold


def test_resamples_draw_users_with_all_their_windows():
    """u has 1 and 1, v has 0 in the first window alone."""
    users, values = [["u", "v"], ["u"]], [np.array([[1.0], [0.0]]), np.array([[1.0]])]
    mean, drawn = pool(users, values, by_origin=True, bootstrap=200, seed=0)
    assert mean.tolist() == [0.75]
    # Twice u: 1. Twice v: 0, of the first window alone. One of each: (1 / 2 + 1) / 2.
    assert set(drawn[:, 0].tolist()) == {0.0, 0.75, 1.0}
    mean, drawn = pool(users, values, by_origin=False, bootstrap=200, seed=0)
    assert mean.tolist() == [2 / 3]
    # Twice u: 1 of 4 values. One of each: 2 of 3.
    assert set(drawn[:, 0].tolist()) == {0.0, 2 / 3, 1.0}


def test_models_are_compared_on_the_same_users():
    events = _events(ROWS)
    models = {"up": _Constant().fit, "down": _Constant(-1).fit, "same": _Constant().fit}
    report = rolling_origins(models, events, origins=2, test=0.5, bootstrap=200, progress=False)
    found = report.differences["down"]["total"]["ndcg@10"]
    up, down = (report.metrics[name]["total"]["ndcg@10"] for name in ("up", "down"))
    assert found.difference == pytest.approx(down - up)
    assert found.low <= found.difference <= found.high
    assert report.differences["same"]["total"]["ndcg@10"][:3] == (0, 0, 0)
    assert report.differences["up"]["total"] == {}
    low, high = report.intervals["up"]["total"]["ndcg@10"]
    assert low <= up <= high
    text = str(report)
    assert "2 origins, 5 evaluations of 3 users, 4 cold items" in text
    assert "minus up" in text
    described = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert described["models"]["up"]["total"]["metrics"]["ndcg@10"] == pytest.approx(up)
    assert len(described["origins"]) == 2
    other = rolling_origins(
        models, events, origins=2, test=0.5, bootstrap=200, reference="down", progress=False
    )
    assert other.differences["up"]["total"]["ndcg@10"].difference == pytest.approx(up - down)


def test_one_origin_is_the_split_at_that_time():
    events = _events(ROWS)
    report = rolling_origins({"all": Popularity().fit}, events, origins=1, test=0.5, progress=False)
    split = events.split("temporal", test=0.5)
    assert split.time == report.windows[0].start
    expected = evaluate(Popularity().fit(split.train), split)
    assert report.metrics["all"]["total"] == pytest.approx(expected.metrics["total"])
    for metric, pair in expected.intervals["total"].items():
        assert report.intervals["all"]["total"][metric] == pytest.approx(pair)


@pytest.mark.parametrize("model", [RecentPopularity, ItemKNN])
def test_the_future_has_no_influence(model):
    """Other events from day 8 on leave what was measured before as it was."""
    changed = [row for row in ROWS if row[2] < 8] + [("u", "h", 8), ("w", "h", 8.5), ("v", "f", 9)]
    window = Window(START + 5.5 * DAY, START + 7.5 * DAY)
    reports = []
    for rows in (ROWS, changed):
        split = window.split(_events(rows))
        reports.append(evaluate(model().fit(split.train), split, bootstrap=0))
    assert reports[0].to_dict()["slices"] == reports[1].to_dict()["slices"]
    assert reports[0].counts["total"]["users"] == 2


def test_it_goes_on_after_a_kill(tmp_path):
    events, trained = _events(ROWS), []

    def fit_until(last):
        def fit(train):
            if len(trained) == last:
                raise KeyboardInterrupt
            trained.append(len(train))
            return ItemKNN().fit(train)

        return {"recent": RecentPopularity().fit, "knn": fit}

    options = {"origins": 2, "test": 0.5, "bootstrap": 50, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        rolling_origins(fit_until(1), events, folder=tmp_path / "kept", **options)
    assert trained == [6]
    found = rolling_origins(fit_until(9), events, folder=tmp_path / "kept", **options)
    assert trained == [6, 9]
    again = rolling_origins(fit_until(0), events, folder=tmp_path / "kept", **options)
    fresh = rolling_origins(fit_until(9), events, **options)
    for one in (again, fresh):
        assert _without_seconds(one.to_dict()) == _without_seconds(found.to_dict())
    # A further model is trained alone.
    more = rolling_origins(
        fit_until(0) | {"all": Popularity().fit}, events, folder=tmp_path / "kept", **options
    )
    assert more.names == ["recent", "knn", "all"]
    others = [
        (_events(ROWS[:-1]), {}, "windows"),
        (_events([*ROWS[:3], ("v", "h", 2), *ROWS[4:]]), {}, "events"),
        (events, {"k": [5]}, "k"),
        (events, {"settings": {"dim": 3}}, "settings"),
    ]
    for other, option, key in others:
        with pytest.raises(InputError, match=f"holds results of other {key}; pass another folder"):
            rolling_origins(fit_until(0), other, folder=tmp_path / "kept", **options | option)
    next((tmp_path / "kept/origin-1").glob("*.npz")).write_bytes(b"PK")
    with pytest.raises(InputError, match="is no result of an origin; remove it"):
        rolling_origins(fit_until(0), events, folder=tmp_path / "kept", **options)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("")
    with pytest.raises(InputError, match="not empty and holds no results of origins"):
        rolling_origins(fit_until(0), events, folder=tmp_path / "other", **options)


def test_a_sample_of_users_is_told(tmp_path):
    """The windows have the users u and v, and then w too, who is new in the first."""
    options = {"origins": 2, "test": 0.5, "bootstrap": 0, "progress": False}
    fit = {"popular": Popularity().fit}
    whole = rolling_origins(fit, _events(ROWS), **options)
    assert "random sample" not in str(whole)
    options |= {"users": 1, "folder": tmp_path / "kept"}
    for _ in range(2):  # computed, then read
        found = rolling_origins(fit, _events(ROWS), **options)
        assert "At 2 of 2 origins, a random sample of 1 users, of up to 3." in str(found)
        sampled = [one["models"]["popular"]["sampled_from"] for one in found.to_dict()["origins"]]
        assert sampled == [2, 3]


def _without_seconds(value):
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if not k.endswith("seconds")}
    return [_without_seconds(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"origins": 0}, "origins must be a whole number of 1 or more. Received: 0"),
        ({"origins": True}, "origins must be a whole number"),
        ({"test": 1}, "test must be a share between 0 and 1. Received: 1"),
        ({"test": "a"}, "test must be a share"),
        ({"window_days": 0}, "window_days must be a number of days above 0"),
        ({"window_days": 60}, "longer than the tested period of 2.0 days.*Received: 60"),
        ({"fit": {}}, "fit must be a function train -> fitted model.*Received: \\[\\]"),
        ({"fit": {"a": Popularity()}}, "fit must be a function.*Received: Popularity"),
        ({"fit": {"a": _Constant().fit}, "reference": "b"}, "reference must be one of .'a'"),
        ({"k": 0}, "k must be different whole numbers"),
        ({"bootstrap": -1}, "bootstrap must be 0 or more"),
        ({"users": 0}, "users must be a whole number of 1 or more"),
        ({"origins": 50, "test": 0.9}, "window from 2020-09.* has no evaluated user among"),
        ({"test": 0.99, "origins": 1}, "no event that can be a target is before the origin 2020"),
        ({"events": "events.csv"}, "pass Interactions, e.g. .*Received: str"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(options, says):
    def fail(train):
        raise AssertionError("trained")

    fit, events = options.pop("fit", fail), options.pop("events", _events(ROWS))
    with pytest.raises(InputError, match=says):
        rolling_origins(fit, events, **{"origins": 2, "progress": False} | options)


def test_events_without_times_are_refused():
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})
    events = Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ["a"]})))
    with pytest.raises(InputError, match="need a column 'timestamp'"):
        rolling_origins(Popularity().fit, events, progress=False)


def test_repeated_events_that_count_are_targets_again():
    rows = [*ROWS, ("u", "a", 8.5), ("v", "a", 8.6)]
    models = {"all": Popularity().fit}
    events = _events(rows, repeats="all")
    report = rolling_origins(models, events, origins=1, test=0.3, progress=False)
    assert report.counts["repeated"]["targets"] == 2
    assert report.metrics["all"]["repeated"]["hr@10"] == 1
