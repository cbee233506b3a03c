"""Examples of searches, and what their histories may hold."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import SearchEvents
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import search_examples

ROWS = [("u", "a", 1), ("u", "b", 2), ("u", "c", 5), ("v", "a", 3), ("v", "d", 4)]


def _searches(events, rows, times=True):
    frame = pd.DataFrame(rows, columns=["query", "item_id", "user_id", "timestamp"])
    if not times:
        frame = frame.drop(columns="timestamp")
    vectors = np.arange(2.0 * len(rows)).reshape(-1, 2)
    return SearchEvents.from_frame(frame, events.catalogue, users=events.users, vectors=vectors)


ASKED = [
    ("q", "c", "u", 5),  # strictly before: a and b
    ("r", "b", "u", 6),  # without b itself: a and c
    ("s", "a", "w", 9),  # an unknown user
    ("t", "d", "", 9),  # nobody
    ("q", "a", "v", 1),  # nothing before
    ("q", "b", "v", 9),
]


def test_histories_end_before_the_search(make_events):
    events = make_events(ROWS)
    examples = search_examples(_searches(events, ASKED), events, 6, history=3, shuffle=False)
    (batch,) = examples.as_numpy_iterator()
    a, b, c, d = 0, 1, 2, 3
    assert batch["history"].tolist() == [
        [-1, a, b],
        [a, -1, c],
        [-1] * 3,
        [-1] * 3,
        [-1] * 3,
        [-1, a, d],
    ]
    seconds = batch["history_age"] * 86400
    np.testing.assert_allclose(seconds[[0, 1, 5]], [[0, 4, 3], [5, 0, 1], [0, 6, 5]], rtol=1e-5)
    assert not seconds[2:5].any()
    assert batch["user"].tolist() == [0, 0, -1, -1, 1, 1]
    assert batch["item"].tolist() == [c, b, a, d, a, b]
    assert batch["query_vector"].tolist() == np.arange(12).reshape(6, 2).tolist()
    shares = {a: 2 / 6, b: 2 / 6, c: 1 / 6, d: 1 / 6}
    np.testing.assert_allclose(np.exp(batch["log_q"]), [shares[i] for i in batch["item"]])


def test_what_comes_later_changes_nothing(make_events):
    events = make_events(ROWS)
    later = make_events([*ROWS, ("u", "e", 5), ("u", "f", 50), ("v", "g", 60)])
    (batch,), (same,) = (
        search_examples(_searches(one, ASKED[:1]), one, 6, history=3).as_numpy_iterator()
        for one in (events, later)
    )
    assert batch["history"].tolist() == same["history"].tolist()


def test_without_times_the_history_is_whole(make_events):
    events = make_events([row[:2] for row in ROWS])
    searches = _searches(events, ASKED, times=False)
    (batch,) = search_examples(searches, events, 6, history=3, shuffle=False).as_numpy_iterator()
    assert sorted(batch["history"][0].tolist()) == [-1, 0, 1] and "history_age" not in batch


def test_an_epoch_holds_every_search_once_in_an_order_of_its_own(make_events):
    events = make_events(ROWS)
    searches = _searches(events, ASKED * 5)
    examples = search_examples(searches, events, 7, seed=3)
    assert int(examples.cardinality()) == 5
    epochs = [
        np.concatenate([batch["query_vector"][:, 0] for batch in examples.as_numpy_iterator()])
        for _ in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == searches.vectors[:, 0].tolist()
    assert epochs[0].tolist() != epochs[1].tolist()
    second = search_examples(searches, events, 7, seed=3, first_epoch=1)
    again = np.concatenate([batch["query_vector"][:, 0] for batch in second.as_numpy_iterator()])
    assert again.tolist() == epochs[1].tolist()


def test_what_is_refused(make_events):
    events = make_events(ROWS)
    searches = _searches(events, ASKED)
    other = make_events([("x", "a", 1)])
    bare = SearchEvents.from_frame(
        pd.DataFrame({"query": ["q"], "item_id": ["a"]}), events.catalogue
    )
    for arguments, says in (
        ((bare, events), "the searches have no vectors"),
        ((bare.with_vectors(np.ones((1, 2))), events), "the searches have none"),
        ((searches, other), "must have the same users.* Received: 2 and 1 users"),
        ((searches, make_events(ROWS, items="abcd")), "must have the same items"),
    ):
        with pytest.raises(InputError, match=says):
            search_examples(*arguments)
    with pytest.raises(InputError, match="history must be at least 1"):
        search_examples(searches, events, history=0)
