"""Further labels of events: read, checked, kept apart from the context."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import Features

FRAME = pd.DataFrame(
    {
        "user_id": ["u", "v", "u", "w"],
        "item_id": ["a", "b", "b", "c"],
        "timestamp": [4e6, 1e6, 2e6, 3e6],
        "label": [1.0, 0.0, 1.0, 1.0],
        "buy": [1, 0, 0, 1],
        "spend": [2.5, None, 0.0, 7.0],
        "rating": [5.0, 1.0, 3.0, 4.0],
        "hour": [1, 2, 3, 4],
    }
)


def _events(labels=("buy", "spend"), frame=FRAME, **options):
    items = Catalogue(pd.DataFrame({"item_id": list("abc")}))
    return Interactions.from_frame(frame, items, labels=labels, **options)


def test_labels_are_numbers_that_may_be_missing():
    events = _events()
    assert list(events.labels) == ["buy", "spend"]
    np.testing.assert_array_equal(events.labels["buy"], [1, 0, 0, 1])
    np.testing.assert_array_equal(events.labels["spend"], [2.5, np.nan, 0, 7])
    assert events.labels["buy"].dtype == np.float32
    assert _events([]).labels == {}


def test_labels_follow_their_events():
    events = _events()
    np.testing.assert_array_equal(events.select(events.item == 1).labels["spend"], [np.nan, 0])
    np.testing.assert_array_equal(events.first_events().labels["spend"], [0, 7, 2.5])
    test = events.split("temporal", test=0.25).test
    np.testing.assert_array_equal(test.labels["spend"], [2.5])
    dropped = _events(frame=FRAME.assign(item_id=["a", "?", "b", "c"]), unknown_items="drop")
    np.testing.assert_array_equal(dropped.labels["spend"], [2.5, 0, 7])


def test_a_label_is_no_context_that_a_feature_could_read():
    events = _events()
    assert list(events.context) == ["hour"]
    inferred = Features.infer(events)
    assert "buy" not in str(inferred) and "spend" not in str(inferred)
    assert list(_events([]).context) == ["buy", "spend", "hour"]


def test_a_rating_is_a_label_besides():
    events = _events(["rating"], min_rating=2)
    np.testing.assert_array_equal(events.labels["rating"], [5, 3, 4])
    np.testing.assert_array_equal(events.rating, [5, 3, 4])


def test_missing_labels_are_no_nulls():
    assert len(_events(nulls="drop")) == 4


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("buy", "labels must be a list of names .*Received: 'buy'"),
        (7, "labels must be a list of names .*Received: 7"),
        ([1], r"labels must be a list of names .*Received: \[1\]"),
        (["label"], "'label' itself is always one. Received: 'label'"),
        (["buy", "buy"], "labels must be distinct .*Received: 'buy'"),
        (["bye"], "missing column 'bye'; similar: 'buy'"),
    ],
)
def test_wrong_labels_are_named(labels, says):
    with pytest.raises(InputError, match=says):
        _events(labels)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["yes", "no", "no", "yes"], "column 'buy' must be numeric. Received: 'yes'"),
        ([1.0, np.inf, 0.0, 1.0], "column 'buy' has 1 infinite values"),
    ],
)
def test_wrong_values_are_named(values, says):
    with pytest.raises(InputError, match=says):
        _events(frame=FRAME.assign(buy=values))
