"""Types of events: weights, and types that are never a target."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError

DAY = 86_400.0
WEIGHTS = {"view": 0.0, "cart": 0.5, "buy": 2.0}
ROWS = [
    ("ada", "i0", 0, "view"),
    ("ada", "i0", 1, "buy"),
    ("ada", "i1", 2, "view"),
    ("ada", "i1", 6, "view"),
    ("ada", "i1", 7, "cart"),
    ("ada", "i2", 8, "buy"),
    ("bea", "i2", 0, "buy"),
    ("bea", "i3", 7, "view"),
]


def _events(rows=ROWS, repeats="all", event_weights=WEIGHTS, nulls="error", **columns):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day", "event"]).assign(**columns)
    frame["timestamp"] = 1.6e9 + DAY * frame.pop("day")
    catalogue = Catalogue(pd.DataFrame({"item_id": [f"i{row}" for row in range(4)]}))
    return Interactions.from_frame(
        frame, catalogue, repeats=repeats, event_weights=event_weights, nulls=nulls
    )


def test_the_weight_is_that_of_the_type():
    assert _events().weight.tolist() == [0, 2, 0, 0, 0.5, 2, 2, 0]
    assert _events(weight=[3.0] * 8).weight.tolist() == [0, 6, 0, 0, 1.5, 6, 6, 0]
    assert _events().context["event"].tolist()[:2] == ["view", "buy"]
    assert _events(event_weights=None).weight is None


def test_views_are_histories_and_no_targets():
    split = _events().split("temporal", test=0.5)
    assert len(split.train) + len(split.test) == len(ROWS)
    ada = int(split.train.users.rows(["ada"])[0])
    assert split.train.histories().of(ada).tolist() == [0, 0, 1]
    users, targets = split.targets()
    # Ada puts the viewed i1 into the cart and buys i2; Bea only looks.
    assert split.train.users.ids[users].tolist() == ["ada"]
    assert targets.of(0).tolist() == [1, 2]
    held_out = split.test.batches(8, known=split.train)
    (batch,) = held_out.as_numpy_iterator()
    assert batch["target"].tolist() == [[0, 1], [0, 2]]


def test_as_of_examples_weigh_their_targets():
    events = _events()
    weights = {}
    batches = events.batches(8, every_days=1.0, horizon_days=2.5, age_days=1e9)
    for batch in batches.as_numpy_iterator():
        for place in range(len(batch["user"])):
            target = batch["target"][batch["target"][:, 0] == place, 1]
            weights[tuple(target.tolist())] = float(batch["weight"][place])
    # A cart, a purchase, and both: sqrt(.5), sqrt(2) and sqrt(2.5), up to the same scale. Nothing
    # is a target of Bea, who only looks at i3.
    assert weights.keys() <= {(0,), (1,), (2,), (1, 2)}
    assert weights[1, 2] / weights[2,] == pytest.approx(np.sqrt(2.5 / 2), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_weights": {"view": 0, "buy": 1}}, "1 events of types .* lacks, first .'cart'"),
        ({"event_weights": WEIGHTS | {"view": -1}}, "numbers from 0 to 1e38. Received: -1"),
        ({"event_weights": WEIGHTS | {"view": 10**400}}, "numbers from 0 to 1e38"),
        ({"event_weights": [("view", 0)]}, "must be a mapping .* Received: list"),
        ({"event_weights": WEIGHTS | {"buy": 1e-50, "cart": 0}}, "0 for all events in float32"),
        ({"weight": [1e30] * 8, "event_weights": WEIGHTS | {"buy": 1e30}}, "beyond float32"),
        ({"event": [["view"]] * 8}, "must hold texts, and it holds lists"),
        ({"event": [None, *["buy"] * 7]}, "1 missing values; fill them in, or pass nulls='drop'"),
        ({"event_weights": WEIGHTS | {"view": "no"}}, "Received: 'no' for 'view'"),
        ({"event_weights": dict.fromkeys(WEIGHTS, 0)}, "at least one type"),
        ({"repeats": "first"}, "event_weights of 0 need repeats='all'"),
        (
            {"repeats": "first", "event_weights": None, "weight": [0, 2, 0, 0, 0.5, 2, 2, 0]},
            "2 user-item pairs with events of weight 0 and others",
        ),
    ],
)
def test_bad_weights_are_one_line(options, message):
    with pytest.raises(InputError, match=message) as error:
        _events(**options)
    assert "\n" not in str(error.value)


def test_events_without_a_type_can_be_dropped():
    assert len(_events(event=[None, *["buy"] * 7], nulls="drop")) == 7


@pytest.mark.parametrize("weights", [{1: 0, 2: 1.5}, {"1": 0, "2": 1.5}])
def test_types_may_be_numbers_which_a_saved_config_has_as_texts(weights):
    events = _events(event=[1, 2] * 4, event_weights=weights)
    assert events.weight.tolist() == [0, 1.5] * 4


def test_numbers_of_numpy_are_weights():
    weights = {"view": np.int64(0), "cart": np.float32(0.5), "buy": np.float64(2)}
    assert _events(event_weights=weights).weight.tolist() == [0, 2, 0, 0, 0.5, 2, 2, 0]


def test_the_last_purchase_is_left_out_and_not_the_last_view():
    split = _events().split("leave_one_out")
    assert split.test.item.tolist() == [2]
    users, targets = split.targets()
    assert len(users) == 1 and targets.of(0).tolist() == [2]
    # A view after the purchase that is left out belongs to the test part.
    split = _events([*ROWS, ("ada", "i3", 9, "view")]).split("leave_one_out")
    assert split.test.item.tolist() == [2, 3]


def test_a_view_does_not_take_the_place_of_a_purchase():
    events = _events().with_repeats("first")
    first = events.counted_events()
    pairs = list(zip(first.users.ids[first.user], first.item.tolist(), strict=True))
    assert pairs == [("bea", 2), ("ada", 0), ("ada", 1), ("ada", 2)]
    assert first.weight.tolist() == [2, 2, 0.5, 2]


def test_validation_weighs_its_targets_as_training_does():
    rows = [*ROWS, ("bea", "i1", 8, "cart")]
    split = _events(rows).split("temporal", test=0.5)
    (batch,) = split.test.batches(8, known=split.train).as_numpy_iterator()
    names = split.train.users.ids[batch["user"]].tolist()
    weight = dict(zip(names, batch["weight"].tolist(), strict=True))
    assert weight["ada"] / weight["bea"] == pytest.approx(np.sqrt(2.5 / 0.5))


def test_without_the_column_it_says_so():
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["i0"]})
    catalogue = Catalogue(pd.DataFrame({"item_id": ["i0"]}))
    with pytest.raises(InputError, match="'event'"):
        Interactions.from_frame(frame, catalogue, event_weights={"buy": 1})


def test_first_events_keep_the_weights_of_their_types():
    events = _events(repeats="first", event_weights={"view": 0.1, "cart": 0.5, "buy": 2.0})
    first = events.counted_events()
    assert first.weight.tolist() == pytest.approx([0.1, 2, 0.1, 0.1, 2])
    assert first.history_weights().tolist() == pytest.approx([0.1, 0.1, 2, 2, 0.1])
