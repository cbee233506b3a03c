import itertools

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


def test_candidates_by_popularity_are_expected_as_often_as_they_are_taken(events):
    counts = events.item_counts()
    for sampling, shares in (
        ("popularity", counts / counts.sum()),
        ("mixed", (counts / counts.sum() + 1 / 40) / 2),
    ):
        batches = as_of_examples(events, 8, candidates=5, sampling=sampling)
        for batch in itertools.islice(batches.as_numpy_iterator(), 5):
            own = np.bincount(batch["target"][:, 1], minlength=len(batch["candidate"]))
            expected = np.log(own + 5 * shares[batch["candidate"]])
            np.testing.assert_allclose(batch["log_q"], expected, rtol=1e-5)


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


def test_an_epoch_draws_so_many_cuts_of_each_user_anew(events):
    every = as_of_examples(events, 8, cuts_per_user=None)
    all_of = np.bincount(np.concatenate([b["user"] for b in every.as_numpy_iterator()]))
    assert all_of.max() > 3
    drawn = as_of_examples(events, 8, cuts_per_user=3)
    epochs = [list(drawn.as_numpy_iterator()) for _ in range(2)]
    assert [len(epoch) for epoch in epochs] == [len(drawn)] * 2
    # Epochs have a fixed number of batches, so few examples come twice or are left out.
    for epoch in epochs:
        users = np.bincount(np.concatenate([b["user"] for b in epoch]), minlength=len(all_of))
        assert abs(users.sum() - np.minimum(all_of, 3).sum()) < 24
    ages = [sorted(float(b["history_age"].sum()) for b in epoch) for epoch in epochs]
    assert ages[0] != ages[1]


def test_the_default_bounds_an_epoch_of_many_examples(events, monkeypatch):
    whole = len(as_of_examples(events, 8, cuts_per_user=None))
    assert len(as_of_examples(events, 8)) == whole
    monkeypatch.setattr("tfrec_fusion.examples.as_of._EXAMPLES", 1)
    assert len(as_of_examples(events, 8)) == len(as_of_examples(events, 8, cuts_per_user=4))
    assert len(as_of_examples(events, 8)) < whole


def test_batches_of_few_cuts_come_together_where_features_are_large(events, monkeypatch):
    dataset = as_of_examples(events, 4)
    one = [b["user"].tolist() for b in dataset.as_numpy_iterator()]
    monkeypatch.setattr("tfrec_fusion.features.item_trend._CACHE_BYTES", 1)
    batches = list(as_of_examples(events, 4).as_numpy_iterator())
    assert sorted(b["user"].tolist() for b in batches) == sorted(one)
    # The features of one cut are kept, so they change only as often as there are cuts.
    features = [b["item_features"].tobytes() for b in batches]
    changes = sum(a != b for a, b in itertools.pairwise(features))
    assert changes == len(set(features)) - 1 < len(batches) - 1


def test_many_scores_are_sampled_by_default(events, monkeypatch):
    assert "candidate" not in as_of_examples(events, 8).element_spec
    monkeypatch.setattr("tfrec_fusion.examples.candidates.FULL_SCORES", 8 * 40 - 1)
    assert "candidate" in as_of_examples(events, 8).element_spec
    assert "candidate" not in as_of_examples(events, 8, candidates=None).element_spec
    with pytest.raises(InputError, match=r"candidates must be .* Received: 'many'"):
        as_of_examples(events, 8, candidates="many")


@pytest.mark.parametrize("kind", ["as_of", "held_out", "autoencoder", "pairs"])
def test_a_shorter_epoch_has_a_new_part_each_time(events, kind):
    dataset = events.first_events().batches(8, examples=kind, steps_per_epoch=2)
    epochs = [[b["user"].tolist() for b in dataset.as_numpy_iterator()] for _ in range(2)]
    assert [len(epoch) for epoch in epochs] == [2, 2]
    assert len(dataset) == 2
    assert epochs[0] != epochs[1]
    later = events.first_events().batches(8, examples=kind, steps_per_epoch=2, first_epoch=1)
    assert [b["user"].tolist() for b in later.as_numpy_iterator()] == epochs[1]
    with pytest.raises(InputError, match=r"steps_per_epoch must be .* Received: 0"):
        events.batches(8, examples=kind, steps_per_epoch=0)


@pytest.mark.parametrize("value", [0, 2.5, "all", True])
def test_bad_numbers_of_cuts(events, value):
    with pytest.raises(InputError, match="cuts_per_user must be a positive whole number"):
        as_of_examples(events, cuts_per_user=value)


@pytest.mark.parametrize("kind", ["as_of", "held_out", "autoencoder"])
def test_validation_examples_are_whole(events, kind):
    split = events.split("temporal")
    with pytest.raises(InputError, match="steps_per_epoch is only for training"):
        split.test.batches(8, examples=kind, known=split.train, steps_per_epoch=2)
