import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import sequence_examples

DAY = 86_400


def _events(histories, **columns):
    """Events of users u0, u1, ... with the items of `histories`, a day apart."""
    rows = [
        (f"u{user}", item, 1.6e9 + DAY * day)
        for user, items in enumerate(histories)
        for day, item in enumerate(items)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).assign(**columns)
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abcdefgh")}))
    return Interactions.from_frame(frame, catalogue)


def _rows(batches):
    return [batch for batch in batches.as_numpy_iterator()]


def test_every_event_but_the_first_is_a_target():
    # u0 bought a, b, c: after a comes b, and after b comes c, one and no days before it.
    (batch,) = _rows(sequence_examples(_events(["abc", "d"]), 4))
    assert batch["user"].tolist() == [0]
    assert batch["history_item"].tolist() == [0, 1]
    assert batch["history_row"].tolist() == [0, 0]
    assert batch["history_age"].tolist() == [2.0, 1.0]
    assert batch["next"].tolist() == [[0, 1], [1, 2]]
    assert batch["weight"].tolist() == [1.0, 1.0]
    assert batch["is_warm"].tolist() == [True] * 4 + [False] * 4


def test_long_histories_are_cut_into_windows_from_the_end():
    # Five pairs in windows of two: (a b -> b c) would overlap, so the first window has one event.
    found = _rows(sequence_examples(_events(["abcdef"]), 1, max_len=2))
    windows = {tuple(batch["history_item"]): batch["next"][:, 1].tolist() for batch in found}
    assert windows == {(3, 4): [4, 5], (1, 2): [2, 3], (0,): [1]}
    ages = {tuple(batch["history_item"]): batch["history_age"].tolist() for batch in found}
    assert ages == {(3, 4): [2.0, 1.0], (1, 2): [2.0, 1.0], (0,): [1.0]}


def test_ages_of_positions_are_numbers_of_later_events():
    frame = pd.DataFrame({"user_id": "u", "item_id": list("abcd"), "position": [1, 5, 6, 9]})
    catalogue = Catalogue(pd.DataFrame({"item_id": list("abcd")}))
    (batch,) = _rows(sequence_examples(Interactions.from_frame(frame, catalogue)))
    # As at scoring, where the last event has the age 0.
    assert batch["history_age"].tolist() == [2.0, 1.0, 0.0]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.permutations("abcdefgh").map(lambda p: p[:5]), min_size=1, max_size=9),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_each_pair_of_neighbours_is_learned_once_an_epoch(histories, max_len, batch_size):
    events, found = _events(histories), []
    for batch in _rows(sequence_examples(events, batch_size, max_len=max_len)):
        assert np.bincount(batch["history_row"]).max() <= max_len
        for place, item in batch["next"]:
            user = batch["user"][batch["history_row"][place]]
            found.append((int(user), int(batch["history_item"][place]), int(item)))
    wanted = [
        (user, "abcdefgh".index(a), "abcdefgh".index(b))
        for user, items in enumerate(histories)
        for a, b in itertools.pairwise(items)
    ]
    assert sorted(found) == sorted(wanted)


def test_batches_hold_windows_of_similar_lengths():
    batches = _rows(sequence_examples(_events(["abcde", "ab", "bc", "bcdef"] * 5), 5))
    assert [set(np.bincount(batch["history_row"])) in ({1}, {4}) for batch in batches] == [True] * 4


def test_sampled_candidates_hold_the_targets():
    # The candidates are the batch's targets and one draw of 8; log q is log(own + 1 / 8).
    (batch,) = _rows(sequence_examples(_events(["abc", "cb"]), candidates=1))
    items = batch["candidate"][batch["next"][:, 1]].tolist()
    assert items == [1, 2, 1] if batch["user"][0] == 0 else items == [1, 1, 2]
    own = np.bincount(items, minlength=8)[batch["candidate"]]
    np.testing.assert_allclose(batch["log_q"], np.log(own + 1 / 8), rtol=1e-6)


def test_events_of_weight_0_are_read_but_no_targets():
    events = _events(["abcd"], weight=[1.0, 2.0, 0.0, 4.0])
    (batch,) = _rows(sequence_examples(events))
    assert batch["history_item"].tolist() == [0, 1, 2]
    assert batch["next"].tolist() == [[0, 1], [2, 3]]
    # The mean of the weights above 0 is (1 + 2 + 4) / 3.
    np.testing.assert_allclose(batch["weight"], [6 / 7, 12 / 7], rtol=1e-6)


def test_repeated_events_are_learned_where_they_count():
    frame = pd.DataFrame({"user_id": "u", "item_id": list("aba"), "timestamp": [1e9, 1.1e9, 1.2e9]})
    catalogue = Catalogue(pd.DataFrame({"item_id": list("ab")}))
    events = Interactions.from_frame(frame, catalogue, repeats="all")
    (batch,) = _rows(sequence_examples(events))
    assert batch["next"].tolist() == [[0, 1], [1, 0]]


def test_equal_seeds_give_equal_epochs_and_epochs_differ():
    events = _events(["abcd", "bcda", "cdab"] * 4)

    def epochs(seed, first=0):
        dataset = sequence_examples(events, 3, seed=seed, first_epoch=first)
        return [[b["user"].tolist() for b in dataset.as_numpy_iterator()] for _ in range(2)]

    assert epochs(1) == epochs(1) and epochs(1)[0] != epochs(1)[1]
    assert epochs(1, first=1)[0] == epochs(1)[1]


def test_validation_has_the_whole_history():
    events = _events(["abcd", "bcd"])
    split = events.split("leave_one_out")
    (batch,) = _rows(split.test.batches(8, examples="sequence", known=split.train))
    assert batch["history_item"].tolist() == [0, 1, 2, 1, 2]
    assert batch["target"].tolist() == [[0, 3], [1, 3]]
    # The last known event of all was on day 2.
    np.testing.assert_allclose(batch["history_age"], [2, 1, 0, 2, 1], atol=1e-4)


def test_validation_with_repeats_and_positions():
    frame = pd.DataFrame({"user_id": "u", "item_id": list("abab"), "position": range(4)})
    catalogue = Catalogue(pd.DataFrame({"item_id": list("ab")}))
    split = Interactions.from_frame(frame, catalogue, repeats="all").split("leave_one_out")
    (batch,) = _rows(split.test.batches(8, examples="sequence", known=split.train))
    assert batch["target"].tolist() == [[0, 1]] and "masked" not in batch
    assert batch["history_age"].tolist() == [2.0, 1.0, 0.0]
    with pytest.raises(InputError, match="examples='held_out'"):
        split.train.batches(8, examples="held_out")


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("max_len", 0), ("max_len", 2.5)])
def test_bad_arguments(name, value):
    with pytest.raises(InputError, match=f"{name} must be"):
        sequence_examples(_events(["ab"]), **{name: value})


def test_events_without_an_order_or_a_pair_are_refused():
    with pytest.raises(InputError, match="no user has two events"):
        sequence_examples(_events(["a", "b"]))
    frame = pd.DataFrame({"user_id": "u", "item_id": list("ab")})
    catalogue = Catalogue(pd.DataFrame({"item_id": list("ab")}))
    with pytest.raises(InputError, match="'timestamp' or 'position'"):
        sequence_examples(Interactions.from_frame(frame, catalogue))
