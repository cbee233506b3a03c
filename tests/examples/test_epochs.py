"""Every dataset of examples goes through epochs that depend on seed and number alone."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import BlockWindow, ParquetWindow, ranking_examples

ITEMS = list("abcdefghij")


def _events(times=True):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, 25, 240)],
            "item_id": rng.choice(ITEMS, 240),
        }
    )
    if times:
        frame["timestamp"] = rng.integers(0, 100 * 86400, 240)
    frame = frame.drop_duplicates(["user_id", "item_id"])
    return Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ITEMS})))


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("epochs") / "rows.parquet"
    pd.DataFrame({"user": np.arange(60)}).to_parquet(path, row_group_size=7)
    return path


KINDS = {
    "as_of": lambda **o: _events().batches(8, examples="as_of", **o),
    "as_of, sampled": lambda **o: _events().batches(8, examples="as_of", candidates=4, **o),
    "autoencoder": lambda **o: _events().batches(8, examples="autoencoder", **o),
    "held_out": lambda **o: _events().batches(8, examples="held_out", **o),
    "pairs": lambda **o: _events().batches(32, examples="pairs", **o),
    "pairs with negatives": lambda **o: _events().batches(32, examples="pairs", negatives=2, **o),
    "ranking": lambda **o: ranking_examples(_events(), 32, every_days=2.0, **o),
    "ranking without times": lambda **o: ranking_examples(_events(times=False), 32, **o),
    "block window": lambda **o: BlockWindow({"user": np.arange(60)}).batches(8, block_rows=4, **o),
}


def _passes(dataset, count=1):
    return [list(dataset.as_numpy_iterator()) for _ in range(count)]


def _assert_equal(one, other):
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def _differ(one, other):
    return any(
        mine[name].shape != theirs[name].shape or (mine[name] != theirs[name]).any()
        for mine, theirs in zip(one, other, strict=True)
        for name in mine
    )


# The others are like one of these.
_QUICK = ("as_of", "autoencoder", "pairs with negatives", "ranking")


@pytest.fixture(
    scope="module",
    params=[
        *(k if k in _QUICK else pytest.param(k, marks=pytest.mark.slow) for k in KINDS),
        "parquet window",
    ],
)
def make(request, parquet):
    if request.param == "parquet window":
        return lambda **o: ParquetWindow(parquet).batches(8, **o)
    return KINDS[request.param]


@pytest.fixture(scope="module")
def epochs(make):
    """The batches of the first three epochs with seed 3."""
    return _passes(make(seed=3), 3)


def test_epochs_are_functions_of_seed_and_number(make, epochs):
    first, second, third = epochs
    assert _differ(first, second) and _differ(second, third)
    _assert_equal(_passes(make(seed=3, first_epoch=2))[0], third)
    assert _differ(_passes(make(seed=4))[0], first)


def test_looking_at_some_batches_changes_no_epoch(make, epochs):
    first, second, _ = epochs
    looked_at = make(seed=3)
    for _ in range(2):
        next(iter(looked_at))
    list(looked_at.take(len(looked_at) - 1))
    _assert_equal(_passes(looked_at)[0], first)
    list(looked_at.take(1))
    _assert_equal(_passes(looked_at)[0], second)
    assert len(looked_at) == len(first)


def test_repeated_it_goes_from_epoch_to_epoch(make, epochs):
    first, second, _ = epochs
    _assert_equal(list(make(seed=3).repeat(2).as_numpy_iterator()), first + second)


class _Recorder(keras.Model):
    """Keeps what `fit` gives it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def train_step(self, batch):
        self.seen.append({name: value.numpy() for name, value in batch.items()})
        return {"loss": 0.0}


def _fitted(batches, **options):
    model = _Recorder()
    model.compile(run_eagerly=True)
    model.fit(batches, verbose=0, **options)
    return model.seen


def test_fit_goes_through_the_same_epochs_after_a_look_and_when_resumed(make, epochs):
    expected = [batch for epoch in epochs for batch in epoch]
    looked_at = make(seed=3)
    next(iter(looked_at))
    whole = _fitted(looked_at, epochs=3)
    _assert_equal(whole, expected)
    resumed = _fitted(make(seed=3, first_epoch=1), initial_epoch=1, epochs=3)
    _assert_equal(resumed, whole[len(whole) // 3 :])


def test_undated_histories_of_a_ranker_are_cut_by_the_seed():
    events = _events(times=False)

    def histories(seed):
        (batches,) = _passes(
            ranking_examples(events, 512, history=2, negatives=0, shuffle=False, seed=seed)
        )
        return batches[0]["history"]

    np.testing.assert_array_equal(histories(1), histories(1))
    assert (histories(0) != histories(1)).any()


def test_what_a_ranker_is_validated_on_stays_the_same():
    split = _events().split("temporal", test=0.2)
    batches = ranking_examples(split.test, 8, known=split.train, at=split.time, negatives=2)
    first, second = _passes(batches, 2)
    _assert_equal(first, second)


@pytest.mark.parametrize("option", ["seed", "first_epoch"])
def test_a_negative_number_is_refused(option):
    with pytest.raises(InputError, match=option):
        _events().batches(8, **{option: -1})
