"""Examples of held-out events: histories of what was known before, targets of what came after."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.times import DAY

# Day 0 is the first event's; the split at day 6 leaves d only a test event.
ROWS = [
    ("a", "i0", 0), ("b", "i1", 1), ("a", "i2", 2), ("c", "i3", 3), ("b", "i0", 4), ("a", "i4", 5),
    ("a", "i1", 6), ("d", "i2", 7), ("b", "i3", 8), ("b", "i5", 9),
]  # fmt: skip


@pytest.fixture(scope="module")
def split():
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] = 1.7e9 + DAY * frame["timestamp"]
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(6)]})
    return Interactions.from_frame(frame, Catalogue(items)).split("temporal", test=0.4)


def _by_user(split, batch, field):
    """user id -> items of a field of pairs or of the history."""
    users = split.train.users.ids[batch["user"].numpy()]
    if field == "history":
        rows, items = batch["history_row"].numpy(), batch["history_item"].numpy()
    else:
        rows, items = batch[field].numpy().T
    return {user: items[rows == row].tolist() for row, user in enumerate(users)}


@pytest.mark.parametrize("examples", ["as_of", "held_out"])
def test_histories_are_what_was_known_and_targets_what_came_after(split, examples):
    batches = split.test.batches(8, examples=examples, known=split.train)
    (batch,) = list(batches)
    assert len(batches) == 1
    # c has no test event, and nothing was known of d.
    assert _by_user(split, batch, "history") == {"a": [0, 2, 4], "b": [1, 0]}
    assert _by_user(split, batch, "target") == {"a": [1], "b": [3, 5]}
    assert _by_user(split, batch, "masked") == {"a": [0, 2, 4], "b": [1, 0]}
    # sqrt of the number of targets, with a mean of 1.
    weights = np.sqrt([1, 2]) / np.sqrt([1, 2]).mean()
    np.testing.assert_allclose(batch["weight"], weights, rtol=1e-6)
    # i5 was not known.
    assert batch["is_warm"].numpy().tolist() == [True] * 5 + [False]


def test_ages_and_trends_are_as_of_the_end_of_what_was_known(split):
    batch = next(iter(split.test.batches(8, known=split.train)))
    trend = ItemTrend(split.train)
    np.testing.assert_allclose(batch["item_features"], trend.at(trend.end)[0])
    end = (trend.end - 1.7e9) / DAY
    np.testing.assert_allclose(batch["history_age"], end - np.array([0, 2, 5, 1, 4]), atol=1e-4)
    cut = 1.7e9 + 5.5 * DAY
    batch = next(iter(split.test.batches(8, known=split.train, at=cut, last=1)))
    assert _by_user(split, batch, "history") == {"a": [4], "b": [0]}
    np.testing.assert_allclose(batch["history_age"], [0.5, 1.5], atol=1e-4)


def test_autoencoder_targets_are_the_history_and_what_it_lacks(split):
    (batch,) = list(split.test.batches(8, examples="autoencoder", known=split.train))
    assert _by_user(split, batch, "self_pairs") == {"a": [0, 2, 4], "b": [1, 0]}
    assert _by_user(split, batch, "target") == {"a": [0, 2, 4, 1], "b": [1, 0, 3, 5]}
    assert batch["weight"].numpy().tolist() == [1.0, 1.0]
    assert "masked" not in batch


def test_each_pass_is_the_same(split):
    batches = split.test.batches(1, known=split.train, candidates=2, seed=3)
    assert len(batches) == 2
    for first, second in zip(batches, batches, strict=True):
        for name, values in first.items():
            np.testing.assert_array_equal(values, second[name])


def test_what_does_not_fit_is_refused(split):
    with pytest.raises(InputError, match=r"1 events are before the cut; .*Received: at=1700600000"):
        split.test.batches(8, known=split.train, at=1.7e9 + 6e5)
    with pytest.raises(InputError, match="must share their user and item vocabularies"):
        split.test.batches(8, known=split.validation(test=0.6).train)
    with pytest.raises(InputError, match="no user has both a known event and a new item"):
        split.train.batches(8, known=split.train)
    with pytest.raises(InputError, match="at needs known="):
        split.train.batches(8, at=1.7e9)
    with pytest.raises(InputError, match="batch_size must be a whole number of 1 or more"):
        split.test.batches(0, known=split.train)


def test_validation_is_the_end_of_training(split):
    part = split.validation(test=0.3)
    assert part.kind == "temporal"
    # Of the days 0 to 5 the last two are held out.
    days = [(x.timestamp - 1.7e9) / DAY for x in (part.train, part.test)]
    np.testing.assert_allclose(days[0], [0, 1, 2, 3])
    np.testing.assert_allclose(days[1], [4, 5])
    (batch,) = list(part.test.batches(8, known=part.train))
    assert _by_user(part, batch, "history") == {"a": [0, 2], "b": [1]}
    assert _by_user(part, batch, "target") == {"a": [4], "b": [0]}
