import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.held_out import held_out_examples


@pytest.fixture(scope="module")
def events():
    # User i has i items; user 1 has one and cannot be an example.
    pairs = [(f"u{i}", f"i{j}") for i in range(1, 12) for j in range(i)]
    frame = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    return Interactions.from_frame(
        frame, Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(15)]}))
    )


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_history_and_targets_part_each_user_s_items(events, share):
    histories, users = events.histories(), []
    for batch in held_out_examples(events, 4, share=share).as_numpy_iterator():
        for row, user in enumerate(batch["user"]):
            history = batch["history_item"][batch["history_row"] == row].tolist()
            targets = batch["target"][batch["target"][:, 0] == row, 1].tolist()
            assert history and targets
            assert sorted(history + targets) == sorted(histories.of(user))
            users.append(user)
    assert sorted(users) == list(range(1, 11))


def test_items_without_events_are_unseen(events):
    batch = next(held_out_examples(events).as_numpy_iterator())
    assert batch["is_warm"].tolist() == [True] * 11 + [False] * 4
    assert batch["item_features"].shape == (15, 0)


def test_equal_seeds_give_equal_epochs_and_epochs_differ(events):
    def epochs(seed):
        dataset = held_out_examples(events, 4, seed=seed)
        return [[b["target"].tolist() for b in dataset.as_numpy_iterator()] for _ in range(2)]

    assert epochs(1) == epochs(1)
    assert epochs(1)[0] != epochs(1)[1]
    assert epochs(1) != epochs(2)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("share", 0.0), ("share", 1.0)])
def test_bad_arguments(events, name, value):
    with pytest.raises(InputError, match=f"{name} must be"):
        held_out_examples(events, **{name: value})


def test_users_of_one_item_are_no_examples():
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})
    events = Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ["a"]})))
    with pytest.raises(InputError, match="two items"):
        held_out_examples(events)


def test_weights_have_a_mean_of_one_in_each_batch(events):
    for batch in held_out_examples(events, 4).as_numpy_iterator():
        np.testing.assert_allclose(batch["weight"].mean(), 1.0, rtol=1e-5)
