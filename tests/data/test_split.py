import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError


def rows(events):
    """The events as sorted (user id, item id, time) triples; user None where unknown."""
    users = [events.users.ids[u] if u >= 0 else None for u in events.user]
    items = events.catalogue.vocabulary.ids[events.item]
    return list(zip(users, items, events.timestamp, strict=True))


def test_temporal_cuts_at_the_quantile_of_first_events(make_events):
    # First events at 0, 10, ..., 100 (11 of them) and a repeat at 200, which does not count. The .9
    # quantile is 90, and test starts there: 90 and 100.
    table = [("u" if t % 20 else "v", "abcdefghijk"[t // 10], t) for t in range(0, 101, 10)]
    split = make_events([*table[::-1], ("v", "a", 200)], "abcdefghijk").split()
    assert split.time == 90
    assert split.test.timestamp.tolist() == [90, 100]
    assert split.train.timestamp.tolist() == list(range(0, 90, 10))
    # v (0, 20, ...) comes first in time.
    assert split.train.users.ids.tolist() == ["v", "u"]
    assert rows(split.test) == [("u", "j", 90), ("v", "k", 100)]


def test_temporal_puts_ties_at_the_cut_into_the_test(make_events):
    # Times 1, 2, 3, 3, 3: the .6 quantile, at position .6 * 4 = 2.4, is 3.
    split = make_events(
        [("u", item, t) for item, t in zip("abcde", [1, 2, 3, 3, 3], strict=True)]
    ).split(test=0.4)
    assert split.time == 3
    assert len(split.train) == 2


def test_the_cut_may_lie_between_events(make_events):
    # Times 0, 10, 20, 30: the .5 quantile, at position .5 * 3 = 1.5, is 15.
    split = make_events([("u", item, 10 * i) for i, item in enumerate("abcd")]).split(test=0.5)
    assert split.time == 15
    assert (len(split.train), len(split.test)) == (2, 2)


def test_leave_one_out_takes_each_users_last_event(make_events):
    split = make_events(
        [("u", "a", 5), ("u", "b", 1), ("u", "c", 5), ("v", "a", 2), ("w", "a", 4), ("w", "b", 3)]
    ).split("leave_one_out")
    # u: a and c at 5, of which c is later in the file. v has one event and keeps it. w: a at 4.
    assert sorted(rows(split.test)) == [("u", "c", 5), ("w", "a", 4)]
    assert sorted(rows(split.train)) == [("u", "a", 5), ("u", "b", 1), ("v", "a", 2), ("w", "b", 3)]
    assert split.time is None


def test_random_draws_each_pair_by_seed(make_events):
    events = make_events([(f"u{i}", item) for i in range(10) for item in "abcdefghij"])
    one, same, other = (events.split("random", seed=seed) for seed in (1, 1, 2))
    # 100 draws at .2: 20 with a standard deviation of 4, so 5 of them are 20.
    assert 0 < len(one.test) < 40
    assert one.test.item.tolist() == same.test.item.tolist()
    assert one.test.item.tolist() != other.test.item.tolist()


def test_none_keeps_everything(make_events):
    split = make_events([("u", "a"), ("v", "b")]).split("none")
    assert (len(split.train), len(split.test)) == (2, 0)
    users, targets = split.targets()
    assert (len(users), len(targets.items)) == (0, 0)


def test_targets_are_new_items_of_known_users(make_events):
    split = make_events(
        [
            *[("u", "a", 1), ("v", "b", 2), ("w", "c", 3), ("u", "c", 4)],
            *[("w", "b", 5), ("u", "b", 6), ("u", "d", 7), ("new", "a", 8)],
        ]
    ).split(test=0.5)
    # 8 first events, the .5 quantile is 4.5. Of the test, u has b and d, w has b; v nothing.
    assert split.time == 4.5
    assert split.train.users.ids.tolist() == ["u", "v", "w"]
    assert split.test.user.tolist() == [2, 0, 0, -1]
    users, targets = split.targets()
    assert users.tolist() == [0, 2]
    assert targets.splits.tolist() == [0, 2, 3]
    assert targets.items.tolist() == [1, 3, 1]


def test_a_test_set_can_be_split_again_without_its_unknown_users(make_events):
    split = make_events([("u", "a", 1), ("u", "b", 2), ("new", "c", 3), ("u", "d", 4)]).split(
        test=0.75
    )
    again = split.test.split("none")
    assert rows(again.train) == [("u", "b", 2), ("u", "d", 4)]


def test_no_event_of_a_known_user(make_events):
    test = make_events([("u", "a", 1), ("v", "b", 2)]).split(test=0.5).test
    with pytest.raises(InputError, match="none of the 1 events"):
        test.split()


TABLES = st.lists(
    st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcdefgh"), st.integers(0, 12)),
    min_size=2,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(TABLES, st.sampled_from(["temporal", "leave_one_out", "random"]), st.integers(0, 3))
def test_a_split_partitions_the_first_events(table, kind, seed):
    frame = pd.DataFrame(table, columns=["user_id", "item_id", "timestamp"])
    shop = Catalogue(pd.DataFrame({"item_id": list("abcdefgh")}))
    try:
        split = Interactions.from_frame(frame, shop).split(kind, test=0.3, seed=seed)
    except InputError as error:
        assert "leaves no" in str(error)
        return
    first = frame.groupby(["user_id", "item_id"])["timestamp"].min()
    expected = {(user, item): time for (user, item), time in first.items()}
    known = set(frame["user_id"][[True] * len(frame)]) & set(split.train.users.ids)
    train = rows(split.train)
    test = rows(split.test)
    assert {user for user, _, _ in train} == set(split.train.users.ids)
    assert {user for user, _, _ in test} <= known | {None}
    both = sorted((item, time) for _, item, time in train + test)
    assert both == sorted((item, time) for (_, item), time in expected.items())
    for user, item, time in train + test:
        assert user is None or expected[user, item] == time
    if kind == "temporal":
        assert all(time < split.time for _, _, time in train)
        assert all(time >= split.time for _, _, time in test)


def fitted(split):
    """Everything that is learned from a split without gradients, as bytes."""
    train = split.train
    histories = train.histories()
    matrix = train.matrix()
    popularity = np.bincount(train.item, minlength=len(train.catalogue))
    arrays = [histories.splits, histories.items, histories.times, popularity]
    arrays += [matrix.indptr, matrix.indices, matrix.data, train.user, train.item, train.timestamp]
    return [train.users.fingerprint, split.time, *(array.tobytes() for array in arrays)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_fitted_does_not_depend_on_test_rows(seed):
    rng = np.random.default_rng(seed)
    shop = Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(40)]}))
    grid = rng.permutation([(user, item) for user in range(8) for item in range(20)])[:100]
    frame = pd.DataFrame(
        {
            "user_id": [f"u{user}" for user, _ in grid],
            "item_id": [f"i{item}" for _, item in grid],
            "timestamp": np.sort(rng.integers(0, 500, 100)),
        }
    )
    split = Interactions.from_frame(frame, shop).split()
    of_test = (frame["timestamp"] >= split.time).to_numpy()
    # Other users and items than any before, in another order and at other places in the file. The
    # number of test events and their times stay: the cut is a quantile of all of them.
    changed = frame.copy()
    changed.loc[of_test, "user_id"] = rng.choice(["u0", "u1", "new0", "new1"], of_test.sum())
    changed.loc[of_test, "item_id"] = [f"i{i}" for i in 20 + rng.permutation(20)[: of_test.sum()]]
    shuffled_test = changed[of_test].sample(frac=1, random_state=seed)
    moved = pd.concat([shuffled_test, changed[~of_test]])
    assert of_test.sum() <= 20
    assert fitted(Interactions.from_frame(moved, shop).split()) == fitted(split)
