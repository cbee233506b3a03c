import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.examples.ranking import feature_names
from tfrec_fusion.features import Number, Side
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.times import DAY

N_ITEMS = 30


def _events(times=True, seed=0, **columns):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, 20, 300)],
            "item_id": [f"i{i}" for i in rng.integers(0, N_ITEMS, 300)],
        }
    )
    if times:
        frame["timestamp"] = rng.integers(0, 100 * int(DAY), 300)
    frame = frame.drop_duplicates(["user_id", "item_id"]).assign(**columns)
    items = pd.DataFrame(
        {"item_id": [f"i{i}" for i in range(N_ITEMS)], "price": np.arange(N_ITEMS) + 1.0}
    )
    return Interactions.from_frame(frame, Catalogue(items))


@pytest.fixture(scope="module")
def events():
    return _events()


def _rows(dataset):
    batches = list(dataset.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _time_of(events):
    return dict(zip(zip(events.user, events.item, strict=True), events.timestamp, strict=True))


def test_an_epoch_has_every_event_beside_items_that_its_user_lacks(events):
    rows = _rows(ranking_examples(events, 64, negatives=3))
    pairs = set(zip(events.user, events.item, strict=True))
    assert sorted(zip(rows["user"], rows["item"][:, 0], strict=True)) == sorted(pairs)
    assert rows["item"].shape == (len(events), 4)
    np.testing.assert_array_equal(rows["label"], np.tile([1, 0, 0, 0], (len(events), 1)))
    for user, items in zip(rows["user"], rows["item"], strict=True):
        assert not any((user, item) in pairs for item in items[1:])


def test_a_known_cut_by_hand():
    # User u has a on day 1, b on day 3, c on day 20. With the cut at day 10, the event (u, c) sees
    # a at 9 days and b at 7 days, most recent last, and c is unseen.
    frame = pd.DataFrame(
        [("u", "a", 1), ("u", "b", 3), ("u", "c", 20), ("v", "b", 2)],
        columns=["user_id", "item_id", "timestamp"],
    )
    frame["timestamp"] *= DAY
    items = Catalogue(pd.DataFrame({"item_id": list("abcd")}))
    events = Interactions.from_frame(frame, items)
    test = events.select(events.timestamp == 20 * DAY)
    rows = _rows(ranking_examples(test, known=events, at=10 * DAY, history=3, negatives=1))
    assert rows["history"].tolist() == [[-1, 0, 1]]
    np.testing.assert_allclose(rows["history_age"], [[0, 9, 7]])
    assert rows["item"].tolist() == [[2, 3]]
    assert rows["is_warm"].tolist() == [[False, False]]
    expected, _ = ItemTrend(events).at(10 * DAY)
    np.testing.assert_allclose(rows["item_features"][0], expected[[2, 3]], atol=5e-3)


def test_nothing_at_or_after_the_event_is_seen(events):
    time_of = _time_of(events)
    rows = _rows(ranking_examples(events, 64, negatives=0, horizon_days=20.0, every_days=2.0))
    pattern = zip(*(rows[name] for name in ("user", "item", "history", "history_age")), strict=True)
    for user, item, history, ages in pattern:
        known = history >= 0
        assert item not in history[known]
        times = np.array([time_of[user, i] for i in history[known]])
        assert (times < time_of[user, item]).all()
        # Every age is from one moment, the cut, which is at most horizon and grid before the event.
        if known.any():
            cut = times + ages[known] * DAY
            np.testing.assert_allclose(cut, cut[0], atol=60)
            assert -60 < time_of[user, item] - cut[0] < 22 * DAY + 60


def test_later_events_change_no_features(events):
    # The first half of the events give the same histories and features with and without the rest.
    half = events.select(events.timestamp < 50 * DAY)
    options = {"at": None, "horizon_days": 0.0, "every_days": 5.0, "negatives": 0, "shuffle": False}
    late = events.select(events.timestamp >= 50 * DAY)
    rows = _rows(ranking_examples(late, known=half, **options))
    seen_items = set(half.item)
    assert set(rows["history"].ravel()) <= seen_items | {-1}
    by_item = {i: s for i, s in zip(rows["item"], rows["is_warm"], strict=True)}
    assert all(seen == (item in seen_items) for item, seen in by_item.items())


def test_the_cut_is_drawn_anew_but_seeded(events):
    def epochs(seed):
        dataset = ranking_examples(events, 512, seed=seed, every_days=2.0, negatives=2)
        return [_rows(dataset) for _ in range(2)]

    first, again, other = epochs(1), epochs(1), epochs(2)
    for a, b in zip(first, again, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    assert (first[0]["history_age"] != first[1]["history_age"]).any()
    assert (first[0]["history_age"] != other[0]["history_age"]).any()


def test_rows_without_history_can_be_left_out(events):
    every = _rows(ranking_examples(events, 64, shuffle=False))
    some = _rows(ranking_examples(events, 64, shuffle=False, min_history=2))
    kept = (every["history"] >= 0).sum(1) >= 2
    assert 0 < kept.sum() < len(kept)
    for name in every:
        np.testing.assert_array_equal(some[name], every[name][kept])
    with pytest.raises(InputError, match=r"min_history leaves out all events.*: min_history=65"):
        ranking_examples(events, 64, min_history=65)


def test_labels_that_are_all_1_need_negatives():
    n = len(_events())
    ones = _events(label=np.ones(n))
    with pytest.raises(InputError, match=f"all {n} labels are 1, .*pass negatives=4"):
        ranking_examples(ones, 64)
    assert set(np.unique(_rows(ranking_examples(ones, 64, negatives=1))["label"])) == {0, 1}
    # As validation examples, or beside another label, they are as good as any.
    ranking_examples(ones, 64, known=_events())
    with pytest.raises(InputError, match=f"all {n} events are impressions"):
        ranking_examples(_events(label=np.zeros(n)), 64)


def test_labels_are_taken_as_they_are():
    rng = np.random.default_rng(1)
    n = len(_events())
    events = _events(label=rng.integers(0, 2, n).astype(np.float32), hour=rng.integers(0, 24, n))
    side = Side.fit("interactions", (Number(column="hour", scale="raw"),), events.context)
    rows = _rows(ranking_examples(events, 64, context_side=side, shuffle=False, horizon_days=0.0))
    np.testing.assert_array_equal(rows["label"], events.label)
    np.testing.assert_array_equal(rows["context_numbers"][:, 0], events.context["hour"])
    # What was shown and not taken is no history.
    taken = set(zip(events.user[events.label > 0], events.item[events.label > 0], strict=True))
    for user, history in zip(rows["user"], rows["history"], strict=True):
        assert all((user, item) in taken for item in history[history >= 0])


def test_without_times():
    events = _events(times=False)
    rows = _rows(ranking_examples(events, 64, history=40, negatives=2))
    matrix = events.matrix()
    for user, item, history in zip(rows["user"], rows["item"], rows["history"], strict=True):
        expected = set(matrix[user].indices) - {item[0]}
        assert set(history[history >= 0]) == expected
    assert rows["item_features"].shape[1:] == (3, 1)
    assert (rows["history_age"] == 0).all()
    assert feature_names(events) == ("price",)


@pytest.mark.parametrize("length", [2, 3, 8])
def test_the_size_of_an_undated_history_does_not_tell_the_label(length):
    # u takes a, b, c and d and is shown e and f; v takes a, b and c and is shown d.
    rows = [("u", item, 1) for item in "abcd"] + [("u", item, 0) for item in "ef"]
    rows += [("v", item, 1) for item in "abc"] + [("v", "d", 0)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "label"])
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abcdef")}))
    events = Interactions.from_frame(frame, catalogue)
    found = _rows(ranking_examples(events, 4, history=length, seed=1))
    sizes = (found["history"] >= 0).sum(1)
    assert sizes.tolist() == np.where(found["user"] == 0, min(length, 3), min(length, 2)).tolist()
    own = (found["history"] == found["item"][:, None]).any(1)
    assert not own.any()
    # d is warm for v, to whom u's event is known, and not for u's own row; e and f have no event.
    of_d = found["item"] == 3
    assert found["is_warm"][of_d].tolist() == (found["user"][of_d] == 1).tolist()
    assert found["is_warm"][found["item"] < 3].all()
    assert not found["is_warm"][found["item"] > 3].any()


def test_undated_test_events_see_the_whole_history():
    events = _events(times=False, label=1.0)
    known, test = (
        events.select(np.arange(len(events)) % 5 > 0),
        events.select(np.arange(len(events)) % 5 == 0),
    )
    rows = _rows(ranking_examples(test, 64, known=known, history=40))
    matrix = known.matrix()
    for user, history in zip(rows["user"], rows["history"], strict=True):
        assert set(history[history >= 0]) == set(matrix[user].indices)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"horizon_days": -1}, "horizon_days"),
        ({"every_days": 0}, "every_days"),
        ({"at": 50 * DAY}, "before the cut"),
        ({"negatives": -1}, "negatives"),
    ],
)
def test_a_mistake_is_named(events, options, says):
    with pytest.raises(InputError, match=says):
        ranking_examples(events, **options)


def test_a_cut_needs_times():
    with pytest.raises(InputError, match="timestamps"):
        ranking_examples(_events(times=False), at=1.0)


def test_further_labels_are_those_of_the_event_and_missing_for_negatives():
    frame = pd.DataFrame(
        [("u", "a", 1, 2.5), ("u", "b", 3, np.nan), ("v", "b", 2, 0.0)],
        columns=["user_id", "item_id", "timestamp", "spend"],
    )
    frame["timestamp"] *= DAY
    items = Catalogue(pd.DataFrame({"item_id": list("abcd")}))
    events = Interactions.from_frame(frame, items, labels=["spend"])
    rows = _rows(ranking_examples(events, 2, negatives=2, shuffle=False))
    np.testing.assert_array_equal(
        rows["label/spend"], [[2.5, np.nan, np.nan], [np.nan] * 3, [0, np.nan, np.nan]]
    )
    np.testing.assert_array_equal(rows["is_sampled"], [[False, True, True]] * 3)
    np.testing.assert_array_equal(rows["label"], [[1, 0, 0]] * 3)
    alone = _rows(ranking_examples(events, 2, negatives=0, shuffle=False))
    np.testing.assert_array_equal(alone["label/spend"], [2.5, np.nan, 0])
    assert "is_sampled" not in alone and "label" not in alone


def test_batches_of_events_without_labels_have_no_field_more(events):
    (batch,) = ranking_examples(events, 16, negatives=1).take(1)
    assert not {name for name in batch if "sampled" in name or "/" in name}
