import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion.data.history import History
from tfrec_fusion.examples.user_cuts import UserCuts

_USERS = st.lists(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=6), min_size=1)


def _of(users, cuts, horizon):
    """The events of users as (time, whether a target), and their pairs with cuts."""
    users = [sorted(events) for events in users]
    splits = np.cumsum([0, *map(len, users)])
    times = np.array([time for events in users for time, _ in events], float)
    wanted = np.array([target for events in users for _, target in events], bool)
    history = History(splits, np.zeros(len(times), np.int32), times)
    descending = np.array(sorted(cuts, reverse=True), float)
    expected = {
        (user, place)
        for user, events in enumerate(users)
        for place, cut in enumerate(descending)
        if any(time < cut for time, _ in events)
        and any(target and cut <= time < cut + horizon for time, target in events)
    }
    return UserCuts(history, descending, horizon, wanted), expected


@given(_USERS, st.sets(st.integers(1, 12), min_size=1), st.integers(1, 5))
def test_the_pairs_are_those_with_an_event_before_and_a_target_within_the_horizon(
    users, cuts, horizon
):
    pairs, expected = _of(users, cuts, horizon)
    assert list(zip(*(x.tolist() for x in pairs.all()), strict=True)) == sorted(
        expected, key=lambda pair: (pair[0], -pair[1])
    )
    counts = np.bincount([user for user, _ in expected], minlength=len(users))
    assert pairs.counts.tolist() == counts.tolist()


@given(_USERS, st.sets(st.integers(1, 12), min_size=1), st.integers(1, 4), st.integers(0, 9))
def test_so_many_different_cuts_of_a_user_are_drawn(users, cuts, most, seed):
    pairs, expected = _of(users, cuts, 4)
    drawn = list(zip(*pairs.drawn(most, np.random.default_rng(seed)), strict=True))
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= expected
    counts = np.bincount([user for user, _ in drawn], minlength=len(users))
    assert counts.tolist() == np.minimum(pairs.counts, most).tolist()


def test_each_cut_of_a_user_is_drawn_equally_often():
    # One user with an event at 0 and targets after each of 7 cuts; 3 of 7 are drawn.
    pairs, _ = _of([[(0, False), *((time, True) for time in range(1, 8))]], range(1, 8), 1)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([pairs.drawn(3, rng)[1] for _ in range(3000)])
    # 3000 draws of probability 3/7: mean 1286, standard deviation 27.
    assert np.abs(np.bincount(drawn, minlength=7) - 3000 * 3 / 7).max() < 5 * 27
