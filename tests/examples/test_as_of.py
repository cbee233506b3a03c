import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.as_of import as_of_examples
from tfrec_fusion.times import DAY


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, 30, n)],
            "item_id": [f"i{i}" for i in rng.integers(0, 40, n)],
            "timestamp": rng.integers(0, 100 * int(DAY), n),
        }
    )
    return Interactions.from_frame(
        frame, Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(40)]}))
    )


def _examples(batches):
    """(user, cut signature) -> history items and targets, from whole batches."""
    for batch in batches.as_numpy_iterator():
        for row, user in enumerate(batch["user"]):
            own = batch["history_row"] == row
            yield (
                user,
                batch["history_item"][own],
                batch["history_age"][own],
                batch["target"][batch["target"][:, 0] == row, 1],
                batch,
            )


def test_history_is_before_the_cut_and_targets_are_new_and_within_the_horizon(events):
    histories = events.histories()
    end = events.timestamp.max() + 1
    cuts = {round(end - week * 7 * DAY) for week in range(1, 15)}
    count = 0
    for user, items, ages, targets, _ in _examples(as_of_examples(events, 8, horizon_days=20)):
        own, times = (
            histories.of(user),
            histories.times[histories.splits[user] : histories.splits[user + 1]],
        )
        # The latest event's age gives the cut back.
        cut = times[len(items) - 1] + float(ages[-1]) * DAY
        cut = min(cuts, key=lambda c: abs(c - cut))
        assert (own[: len(items)] == items).all()
        assert (times[: len(items)] < cut).all()
        assert (ages >= 0).all()
        expected = own[(times >= cut) & (times < cut + 20 * DAY)]
        assert sorted(targets) == sorted(expected)
        assert not set(items) & set(targets)
        count += 1
    assert count > 100


def test_an_epoch_has_every_user_of_every_cut_once_in_another_order(events):
    dataset = as_of_examples(events, 8, seed=3)
    first = [batch["user"] for batch in dataset.as_numpy_iterator()]
    second = [batch["user"] for batch in dataset.as_numpy_iterator()]
    assert len(first) == len(second) == len(dataset)
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second))
    first, second = ([users.tolist() for users in epoch] for epoch in (first, second))
    assert first != second
    again = [
        batch["user"].tolist() for batch in as_of_examples(events, 8, seed=3).as_numpy_iterator()
    ]
    assert again == first


def test_weights_have_a_mean_of_one(events):
    weights = np.concatenate([b["weight"] for b in as_of_examples(events, 8).as_numpy_iterator()])
    np.testing.assert_allclose(weights.mean(), 1.0, rtol=1e-5)


def test_sampled_candidates_hold_every_target_and_mask_the_history(events):
    for batch in as_of_examples(events, 8, candidates=5).as_numpy_iterator():
        candidates = batch["candidate"]
        assert len(set(candidates)) == len(candidates) == len(batch["log_q"])
        assert batch["target"][:, 1].max() < len(candidates)
        masked = {(row, candidates[column]) for row, column in batch["masked"]}
        history = set(zip(batch["history_row"], batch["history_item"], strict=True))
        assert masked == {(row, item) for row, item in history if item in set(candidates)}
        # 5 uniform draws over 40 items, plus each item's own occurrences among the targets.
        own = np.bincount(batch["target"][:, 1], minlength=len(candidates))
        np.testing.assert_allclose(batch["log_q"], np.log(own + 5 / 40), rtol=1e-6)


def test_last_keeps_the_end_of_a_history(events):
    for _, items, ages, _, _ in _examples(as_of_examples(events, 8, last=3)):
        assert len(items) <= 3
        assert (np.diff(ages) <= 0).all()


@pytest.mark.parametrize("name", ["batch_size", "horizon_days", "every_days"])
def test_bad_sizes(events, name):
    with pytest.raises(InputError, match=f"{name} must be positive. Received: 0"):
        as_of_examples(events, **{name: 0})


def test_no_returning_user():
    frame = pd.DataFrame(
        {"user_id": ["u", "v"], "item_id": ["a", "a"], "timestamp": [0, 86400 * 30]}
    )
    events = Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ["a"]})))
    with pytest.raises(InputError, match=r"two different times.*every user has one item"):
        as_of_examples(events)
