import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.examples import pair_examples

ITEMS = "abcdefghijkl"
SHOP = Catalogue(pd.DataFrame({"item_id": list(ITEMS)}))


def batch_of(dataset):
    """All batches as one dict of arrays."""
    batches = list(dataset.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_histories_by_hand(make_events):
    day = 86400
    u = [("u", "a", day), ("u", "b", 2 * day), ("u", "c", 2 * day), ("u", "d", 4 * day)]
    events = make_events([*u, ("v", "a", 3 * day), ("u", "a", 5 * day)])
    batch = batch_of(pair_examples(events, 4, history=2, shuffle=False))
    assert batch["user"].tolist() == [0, 0, 0, 0, 1, 0]
    assert batch["item"].tolist() == [0, 1, 2, 3, 0, 0]
    assert batch["timestamp"].tolist() == [day, 2 * day, 2 * day, 4 * day, 3 * day, 5 * day]
    # b and c are bought together: neither knows of the other. The second a has c and d before it,
    # and not the first a.
    assert batch["history"].tolist() == [[-1, -1], [-1, 0], [-1, 0], [1, 2], [-1, -1], [2, 3]]
    assert batch["history_age"].tolist() == [[0, 0], [0, 1], [0, 1], [2, 2], [0, 0], [3, 1]]
    types = {name: values.dtype for name, values in batch.items()}
    assert types == {
        "user": np.int32,
        "item": np.int32,
        "timestamp": np.float64,
        "history": np.int32,
        "history_age": np.float32,
    }


def test_without_times_the_history_is_the_users_other_items(make_events):
    events = make_events([("u", "a"), ("u", "b"), ("u", "c"), ("v", "d")])
    batch = batch_of(pair_examples(events, 8, history=4, shuffle=False))
    assert [sorted(row) for row in batch["history"].tolist()] == [
        [-1, -1, 1, 2],
        [-1, -1, 0, 2],
        [-1, -1, 0, 1],
        [-1, -1, -1, -1],
    ]
    assert (np.diff(batch["history"] >= 0) >= 0).all()  # Padding comes first.
    assert "history_age" not in batch and "timestamp" not in batch


def test_columns_of_the_events_pass_through(make_events):
    events = make_events(
        [("u", "a", 1), ("v", "b", 2)],
        rating=[4, 5],
        weight=[1.5, 2],
        label=[0.5, 1],
        price=pd.array([3, None], "Int64"),
        country=["x", None],
    )
    batch = batch_of(pair_examples(events, 2, shuffle=False))
    assert batch["rating"].tolist() == [4, 5]
    assert batch["weight"].tolist() == [1.5, 2]
    assert batch["label"].tolist() == [0.5, 1]
    np.testing.assert_array_equal(batch["price"], np.float32([3, np.nan]))
    assert "country" not in batch
    named = batch_of(pair_examples(events, 2, shuffle=False, context=["country"], negatives=1))
    assert named["country"].tolist() == [b"x", b"x", b"", b""]
    assert named["label"].tolist() == [0.5, 0, 1, 0]
    assert named["weight"].tolist() == [1.5, 1.5, 2, 2]
    assert "price" not in named and "rating" not in named


@st.composite
def tables(draw):
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from("uvw"), st.sampled_from(ITEMS[:-1]), st.integers(0, 9)),
            min_size=1,
            max_size=40,
        )
    )
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(tables(), st.integers(1, 5), st.integers(1, 7))
def test_a_history_is_the_last_items_strictly_before(table, length, batch_size):
    events = Interactions.from_frame(table, SHOP)
    batch = batch_of(pair_examples(events, batch_size, history=length))
    got = sorted(zip(batch["user"], batch["item"], batch["timestamp"], strict=True))
    assert got == sorted(zip(events.user, events.item, events.timestamp, strict=True))
    histories = events.histories()
    for i, (user, item, time) in enumerate(
        zip(batch["user"], batch["item"], batch["timestamp"], strict=True)
    ):
        own = slice(histories.splits[user], histories.splits[user + 1])
        past = [
            (other, first)
            for other, first in zip(histories.items[own], histories.times[own], strict=True)
            if first < time and other != item
        ][-length:]
        padding = length - len(past)
        assert batch["history"][i].tolist() == [-1] * padding + [other for other, _ in past]
        ages = [0.0] * padding + [(time - first) / 86400 for _, first in past]
        np.testing.assert_allclose(batch["history_age"][i], ages, rtol=1e-6)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(tables(), st.integers(1, 3), st.integers(0, 5))
def test_negatives_are_items_that_the_user_never_has(table, count, seed):
    events = Interactions.from_frame(table, SHOP)
    batch = batch_of(pair_examples(events, 4, history=2, negatives=count, seed=seed, shuffle=False))
    item, label = (batch[name].reshape(-1, count + 1) for name in ("item", "label"))
    assert item[:, 0].tolist() == events.item.tolist()
    assert (label[:, 0] == 1).all() and (label[:, 1:] == 0).all()
    owned = events.matrix().toarray() > 0
    assert ((item >= 0) & (item < len(SHOP))).all()
    assert not owned[batch["user"].reshape(item.shape)[:, 1:], item[:, 1:]].any()
    for name in ("user", "timestamp"):
        rows = batch[name].reshape(item.shape)
        assert (rows == rows[:, :1]).all()


def test_negatives_come_from_the_time_of_the_event(make_events):
    # User x buys one item at day 0 and one at day 100. Others buy a to d around day 0 and e to h
    # around day 100, where also all of a to h have been seen.
    day = 86400
    rows = [(f"u{i}", "abcd"[i % 4], (i % 3 - 1) * day) for i in range(40)]
    rows += [(f"u{i}", "efgh"[i % 4], (100 + i % 3 - 1) * day) for i in range(40)]
    rows += [("x", "i", 1.5 * day), ("x", "j", 101.5 * day)]
    events = make_events(rows)
    batch = batch_of(pair_examples(events, 8, negatives=400, shuffle=False))
    of_x = batch["user"] == events.users.rows("x")
    early = of_x & (batch["timestamp"] < 50 * day) & (batch["label"] == 0)
    late = of_x & (batch["timestamp"] > 50 * day) & (batch["label"] == 0)
    assert set(batch["item"][early]) == {0, 1, 2, 3}
    # Late: half are e to h as recent items, and of the other half, uniform over a to h (i and j are
    # the user's own), half again: .75, give or take 5 standard errors, sqrt(.75 .25 / 400) = .022.
    assert abs(np.isin(batch["item"][late], [4, 5, 6, 7]).mean() - 0.75) < 0.11
    assert set(batch["item"][late]) == set(range(8))


def test_a_user_with_all_items_but_one_gets_that_one(make_events):
    rows = [("u", item, i) for i, item in enumerate("abcdefghi")] + [("v", "a", 0)]
    batch = batch_of(pair_examples(make_events(rows), 4, negatives=50))
    of_u = (batch["user"] == 0) & (batch["label"] == 0)
    assert set(batch["item"][of_u]) == {9}


def test_negatives_of_a_repeat_long_after_all_first_events(make_events):
    events = make_events([("u", "a", 0), ("u", "a", 60 * 86400)], items="abc")
    (batch,) = pair_examples(events, 8, negatives=4, window_days=7).as_numpy_iterator()
    assert set(batch["item"][batch["label"] == 0]) == {1, 2}


def test_test_pairs_know_the_training_events(make_events):
    split = make_events(
        [
            ("u", "a", 1),
            ("v", "b", 2),
            ("u", "c", 3),
            ("u", "d", 8),
            ("new", "a", 9),
            ("u", "e", 10),
        ]
    ).split(test=0.5)
    batch = batch_of(
        pair_examples(split.test, 8, known=split.train, history=3, negatives=20, shuffle=False)
    )
    positives = batch["label"] == 1
    # The event of the unknown user is left out; that of item e has the test event d in its history.
    assert batch["item"][positives].tolist() == [3, 4]
    assert batch["history"][positives].tolist() == [[-1, 0, 2], [0, 2, 3]]
    assert not np.isin(batch["item"][~positives], [0, 2, 3, 4]).any()


@pytest.mark.parametrize("negatives", [0, 2])
def test_epochs_differ_and_equal_seeds_agree(make_events, negatives):
    rng = np.random.default_rng(0)
    rows = [(f"u{i % 30}", ITEMS[rng.integers(9)], int(rng.integers(100))) for i in range(300)]
    events = make_events(rows, ITEMS)
    one, same, other = (
        pair_examples(events, 32, history=3, negatives=negatives, seed=seed) for seed in (1, 1, 2)
    )
    epochs = [batch_of(one)["item"].tolist() for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert [batch_of(same)["item"].tolist() for _ in range(2)] == epochs
    assert batch_of(other)["item"].tolist() != epochs[0]
    assert one.cardinality() == -(-len(events) // 32)


def test_real_events(real_data):
    folder = real_data("retail")
    shop = Catalogue.from_parquet(folder / "items.parquet")
    split = Interactions.from_parquet(folder / "interactions.parquet", shop).split()
    assert (len(split.train), len(split.test)) == (432_854, 48_117)
    dataset = pair_examples(split.train, 8192, history=20, negatives=1)
    owned = split.train.matrix()
    for batch in dataset.take(3).as_numpy_iterator():
        label = np.asarray(owned[batch["user"], batch["item"]]).ravel()
        np.testing.assert_array_equal(label, batch["label"])
        assert (batch["history_age"] >= 0).all()
        assert (batch["history_age"][batch["history"] >= 0] > 0).all()
