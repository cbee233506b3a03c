"""Negatives of rankers from the best items of a retrieval model."""

import numpy as np
import pytest
from fixed_scores import Fixed

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.examples.negatives import Negatives
from tfrec_fusion.examples.retrieved import Retrieved
from tfrec_fusion.models.classic import EASE
from tfrec_fusion.times import DAY

# g to j have no event.
ROWS = [("u", "a", 0), ("u", "b", 1), ("v", "e", 1), ("u", "c", 2), ("u", "d", 3), ("v", "f", 4)]
BEST_FIRST = (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
SEED = tf.constant([1, 2], tf.int64)


@pytest.fixture
def events(make_events):
    return make_events([(user, item, DAY * day) for user, item, day in ROWS])


@pytest.fixture
def model(events):
    return Fixed(*BEST_FIRST).fit(events)


def test_the_best_items_as_of_the_begin_of_each_part(events, model):
    found = Retrieved.of(model, events, 3, cuts=2)
    # The median of the days 0, 1, 1, 2, 3, 4 is 1.5; u and v have events later, and a history.
    assert found.cuts.tolist() == [1.5 * DAY]
    assert found.items[found.rows].tolist() == [[[4, 5, 6], [0, 1, 2]]]
    # Of u, who has a to d in the end, six items are left.
    assert Retrieved.of(model, events, 50, cuts=2).items[0].tolist() == [*range(4, 10)] + [-1] * 4


def test_users_without_a_history_or_an_event_get_none(events, model):
    found = Retrieved.of(model, events, 2, cuts=3)
    # The parts begin on day 1 (after 2 events of 6, and its third is of that day) and 2.33; v has
    # no event before day 1, and on days 1 to 2.33 u has some; then both have.
    assert (found.cuts / DAY).round(2).tolist() == [1.0, 2.33]
    assert (found.rows >= 0).tolist() == [[True, False], [True, True]]


class Sold(Fixed):
    """Scores items by their events in the state."""

    def scorer(self, state):
        return lambda users: np.tile(state.events.item_counts(), (len(users), 1))


def test_a_model_that_follows_the_time_gives_the_items_of_the_time(make_events):
    """b sells before v comes again, c later."""
    rows = [("v", "a", 0), ("x", "a", 1), ("x", "b", 2), ("w", "d", 3)]
    rows += [("w", "e", 10), ("v", "f", 11), ("x", "c", 12), ("y", "c", 13)]
    events = make_events([(user, item, DAY * day) for user, item, day in rows])
    found = Retrieved.of(Sold(*BEST_FIRST).fit(events), events, 2, cuts=2)
    v = events.users.ids.tolist().index("v")
    assert {*found.items[found.rows[0, v]]} == {1, 3}  # b and d, without a, which v has


def _drawn(sampler, user, day, count=400):
    at = tf.constant([DAY * day], tf.float64)
    return sampler(tf.constant([user]), at, count, SEED).numpy()[0]


def test_draws_are_among_them_unless_they_are_first_seen_later(events):
    cuts, rows = np.array([0.5 * DAY, 3.5 * DAY]), np.array([[0, -1], [1, 2]], np.int32)
    items = np.array([[4, 5], [5, 5], [0, -1]], np.int32)
    found = Retrieved(cuts, rows, items)
    sampler, plain = Negatives(events, 1.0, found, 1.0), Negatives(events, 1.0)
    # u on day 4 has f alone; on day 3 f is not seen yet, so that half of the draws is e.
    assert {*_drawn(sampler, 0, 4)} == {5}
    drawn, others = _drawn(sampler, 0, 3), _drawn(plain, 0, 3)
    changed = drawn != others
    assert {*drawn[changed]} == {4} and (drawn == 4).sum() > 180
    # Before the first cut, and of v after it, nothing is retrieved; later a and an empty place.
    for user, day in ((0, 0.2), (1, 2)):
        np.testing.assert_array_equal(_drawn(sampler, user, day), _drawn(plain, user, day))
    of_v = _drawn(sampler, 1, 5)
    assert (of_v == 0).sum() > 180 and (of_v == _drawn(plain, 1, 5))[of_v != 0].all()


def test_the_share(events):
    found = Retrieved(np.array([0.0]), np.array([[-1, 0]], np.int32), np.array([[0]], np.int32))
    plain = (_drawn(Negatives(events, 1.0), 1, 5) == 0).mean()
    share = (_drawn(Negatives(events, 1.0, found, 0.5), 1, 5) == 0).mean()
    # Of 400 draws the standard deviation is below .025.
    assert abs(share - (0.5 + 0.5 * plain)) < 0.1


def test_an_own_item_is_never_drawn(events):
    found = Retrieved(np.array([0.0]), np.array([[0, -1]], np.int32), np.array([[3]], np.int32))
    assert 3 not in _drawn(Negatives(events, 1.0, found, 1.0), 0, 1)  # d, which u takes on day 3


def test_batches_have_them(events, model):
    options = {"negatives": 40, "window_days": 1.0, "negatives_from": model, "hard_cuts": 2}
    batches = ranking_examples(events, 6, hard_share=1.0, hard_pool=1, **options)
    (batch,) = batches
    plain = ranking_examples(events, 6, negatives=40, window_days=1.0)
    (others,) = plain
    np.testing.assert_array_equal(batch["user"], others["user"])
    for user, items, before in zip(batch["user"], batch["item"], others["item"], strict=True):
        if int(items[0]) in (2, 3, 5):  # since day 1.5: e of u, a of v
            assert {*items[1:].numpy()} == {4 if user == 0 else 0}
        else:
            np.testing.assert_array_equal(items, before)


def test_events_without_times_have_those_of_the_end(make_events):
    events = make_events([(user, item) for user, item, _ in ROWS])
    found = Retrieved.of(Fixed(*BEST_FIRST).fit(events), events, 2, cuts=8)
    assert found.cuts is None and found.items[found.rows[0]].tolist() == [[4, 5], [0, 1]]
    sampler = Negatives(events, 1.0, found, 1.0)
    drawn = sampler(tf.constant([0, 1]), None, 100, SEED).numpy()
    assert {*drawn[0]} == {4, 5} and {*drawn[1]} == {0, 1}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"negatives_from": "ease"}, "negatives_from: must be a fitted model .* Received: 'ease'"),
        ({"negatives_from": EASE()}, "negatives_from: must be a fitted model"),
        ({"hard_share": 1.5}, "hard_share must be a number from 0 to 1. Received: 1.5"),
        ({"hard_pool": 0}, "hard_pool must be a whole number of 1 or more. Received: 0"),
        ({"hard_cuts": 1}, "hard_cuts must be a whole number of 2 or more. Received: 1"),
        ({"negatives": 0}, "negatives_from needs sampled negatives"),
    ],
)
def test_wrong_options_are_refused(events, model, options, says):
    with pytest.raises(InputError, match=says):
        ranking_examples(events, 4, **({"negatives_from": model} | options))


def test_a_model_of_another_catalogue_is_refused(events, model, make_events):
    rows = [(user, item.upper(), DAY * day) for user, item, day in ROWS]
    others = make_events(rows, items="ABCDEFGHIJ")
    assert len(others.catalogue) == len(events.catalogue)
    with pytest.raises(InputError, match="built for other items"):
        ranking_examples(others, 4, negatives_from=EASE().fit(events))
