"""Examples hold what `State` says of their cut, which nothing after the cut changes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import as_of_examples, ranking_examples
from tfrec_fusion.features import DataSpec, ItemTrend, State
from tfrec_fusion.times import DAY

START, LAST_DAY = 18_000, 60  # in days since 1970
EVENT = st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, LAST_DAY))
# Nobody has taken e and f, so negatives can always be drawn.
CATALOGUE = Catalogue(
    pd.DataFrame({"item_id": list("abcdef"), "price": [1.0, 2.0, np.nan, 5.0, 0.5, 9.0]})
)


def _interactions(rows):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] = (START + frame["timestamp"]) * DAY
    return Interactions.from_frame(frame, CATALOGUE)


def _spec(events):
    numbers = {"price": "number"}
    return DataSpec(
        n_users=3,
        n_items=6,
        users="",
        items="",
        vector_dims={},
        feature_names=tuple(ItemTrend(events, numbers).names),
        numbers=numbers,
    )


def _cut(events, user, item, age):
    """The time of a cut, from the age of an item in a user's history."""
    first = events.first_events()
    taken = first.timestamp[(first.user == user) & (first.item == item)][0]
    time = taken + float(age) * DAY
    nearest = first.timestamp[np.abs(first.timestamp - time).argmin()]
    # An age is float32, and so a cut at an event's very time comes back less than a second off.
    return float(nearest) if abs(nearest - time) < 0.6 else time


def _check_items(state, features, is_warm, items):
    expected, _ = state.item_features(_spec(state.events))
    # Ranking examples hold trends as float16.
    np.testing.assert_allclose(features, expected[items], atol=4e-3, rtol=2e-3)
    np.testing.assert_array_equal(is_warm, state.seen[items])


@settings(deadline=None, max_examples=15)
@given(rows=st.lists(EVENT, min_size=4, max_size=30), seed=st.integers(0, 9))
def test_as_of_examples_hold_the_state_at_their_cut(rows, seed):
    events = _interactions(rows)
    try:
        batches = list(as_of_examples(events, 2, horizon_days=20, seed=seed).as_numpy_iterator())
    except InputError:
        assume(False)
    for batch in batches:
        owner = batch["user"][batch["history_row"]]
        cut = _cut(events, owner[0], batch["history_item"][0], batch["history_age"][0])
        state = State.of(events, at=cut)
        items, rows_, ages = state.flat_histories(batch["user"])
        np.testing.assert_array_equal(batch["history_item"], items)
        np.testing.assert_array_equal(batch["history_row"], rows_)
        np.testing.assert_allclose(batch["history_age"], ages, atol=1e-4)
        _check_items(state, batch["item_features"], batch["is_warm"], np.arange(6))
        taken = state.matrix.toarray()[batch["user"]]
        assert not taken[tuple(batch["target"].T)].any()


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(rows=st.lists(EVENT, min_size=4, max_size=30), seed=st.integers(0, 9))
def test_ranking_examples_hold_the_state_at_their_cut(rows, seed):
    events = _interactions(rows)
    try:
        batches = ranking_examples(
            events, 4, negatives=2, horizon_days=20, history=8, window_days=20, seed=seed
        )
        batches = list(batches.as_numpy_iterator())
    except InputError:
        assume(False)
    for batch in batches:
        for row, user in enumerate(batch["user"]):
            history, ages = batch["history"][row], batch["history_age"][row]
            if (history < 0).all():
                continue
            place = np.flatnonzero(history >= 0)[-1]
            cut = _cut(events, user, history[place], ages[place])
            state = State.of(events, at=cut)
            expected, expected_ages = state.padded_histories(np.array([user]), 8)
            # The event's own item does not stand in the history of its row.
            own = expected[0] == batch["item"][row, 0]
            np.testing.assert_array_equal(history, np.where(own, -1, expected[0]))
            np.testing.assert_allclose(ages, np.where(own, 0, expected_ages[0]), atol=1e-4)
            items = batch["item"][row]
            _check_items(state, batch["item_features"][row], batch["is_warm"][row], items)


@pytest.mark.parametrize(
    "examples", [as_of_examples, pytest.param(ranking_examples, marks=pytest.mark.slow)]
)
@settings(deadline=None, max_examples=6)
@given(
    past=st.lists(EVENT, max_size=20),
    future=st.lists(EVENT, max_size=12),
)
def test_validation_sees_nothing_known_after_the_cut(examples, past, future):
    """Events of `known` at the cut or later are as if they were not there."""
    at = (START + LAST_DAY + 1) * DAY
    held_out = _interactions([(user, item, LAST_DAY + 2) for user in "uvw" for item in "abcdef"])
    past = [*((user, "a", 0) for user in "uvw"), *past]
    later = [(user, item, day + LAST_DAY + 1) for user, item, day in future]

    def batches(rows):
        known = _interactions(rows)
        options = {"negatives": 0} if examples is ranking_examples else {}
        return list(examples(held_out, 4, known=known, at=at, **options).as_numpy_iterator())

    alone, with_later = batches(past), batches([*past, *later])
    assert len(alone) == len(with_later)
    for mine, theirs in zip(alone, with_later, strict=True):
        for name, values in mine.items():
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)
