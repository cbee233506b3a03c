import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.autoencoder import autoencoder_examples


@pytest.fixture(scope="module")
def events():
    # User i has i items; user 1 has one and cannot be an example.
    pairs = [(f"u{i}", f"i{j}") for i in range(1, 12) for j in range(i)]
    frame = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    return Interactions.from_frame(
        frame, Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(15)]}))
    )


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.99])
def test_all_items_are_targets_and_some_are_history(events, dropout):
    histories, users, kept, total = events.histories(), [], 0, 0
    for batch in autoencoder_examples(events, 4, dropout=dropout).as_numpy_iterator():
        assert batch["weight"].tolist() == [1] * len(batch["user"])
        assert batch["self_pairs"].tolist() == [
            list(pair) for pair in zip(batch["history_row"], batch["history_item"], strict=True)
        ]
        for row, user in enumerate(batch["user"]):
            history = batch["history_item"][batch["history_row"] == row].tolist()
            targets = batch["target"][batch["target"][:, 0] == row, 1].tolist()
            assert targets == histories.of(user).tolist()
            assert history and set(history) <= set(targets)
            users.append(user)
            kept, total = kept + len(history), total + len(targets)
    assert sorted(users) == list(range(1, 11))
    assert kept == total if dropout == 0 else kept < total


def test_items_without_events_are_unseen(events):
    batch = next(autoencoder_examples(events).as_numpy_iterator())
    assert batch["is_warm"].tolist() == [True] * 11 + [False] * 4
    assert batch["item_features"].shape == (15, 0)


def test_it_is_the_default_without_times(events):
    assert "self_pairs" in events.batches(4).element_spec


def test_equal_seeds_give_equal_epochs_and_epochs_differ(events):
    def epochs(seed):
        dataset = autoencoder_examples(events, 4, seed=seed)
        return [[b["self_pairs"].tolist() for b in dataset.as_numpy_iterator()] for _ in range(2)]

    assert epochs(1) == epochs(1)
    assert epochs(1)[0] != epochs(1)[1]
    assert epochs(1) != epochs(2)


def test_goes_on_with_a_later_epoch(events):
    whole = autoencoder_examples(events, 4)
    list(whole)
    second = [b["self_pairs"].tolist() for b in whole.as_numpy_iterator()]
    late = autoencoder_examples(events, 4, first_epoch=1)
    assert [b["self_pairs"].tolist() for b in late.as_numpy_iterator()] == second


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 0), ("dropout", -0.1), ("dropout", 1.0)]
)
def test_bad_arguments(events, name, value):
    with pytest.raises(InputError, match=f"{name} must be"):
        autoencoder_examples(events, **{name: value})


def test_users_of_one_item_are_no_examples():
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})
    events = Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ["a"]})))
    with pytest.raises(InputError, match="two items"):
        autoencoder_examples(events)


@pytest.mark.parametrize("kind", ["autoencoder", "held_out", "pairs"])
def test_ages_are_steps_where_events_have_positions(kind):
    frame = pd.DataFrame([("u", item, -place) for place, item in enumerate("abcd")])
    frame.columns = ["user_id", "item_id", "position"]
    shop = Catalogue(pd.DataFrame({"item_id": list("abcde")}))
    events = Interactions.from_frame(frame, shop)
    # u took d, c, b, a, so the number of later items is the row of the item.
    batch = next(events.batches(2, examples=kind).as_numpy_iterator())
    name = "history" if kind == "pairs" else "history_item"
    items, ages = batch[name], batch["history_age"]
    assert (items >= 0).sum() >= 1
    assert ages[items >= 0].tolist() == items[items >= 0].tolist()
    new = pd.DataFrame({"user_id": ["u"], "item_id": ["e"], "position": [9]})
    later = Interactions.from_frame(new, shop).encode_users(events.users)
    batch = next(later.batches(2, examples=kind, known=events).as_numpy_iterator())
    items, ages = batch[name].ravel(), batch["history_age"].ravel()
    # With e as the last event, pairs count it too.
    steps = items + (1 if kind == "pairs" else 0)
    assert sorted(items[items >= 0]) == [0, 1, 2, 3]
    assert ages[items >= 0].tolist() == steps[items >= 0].tolist()
