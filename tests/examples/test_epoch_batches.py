import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.epoch_batches import epoch_batches
from tfrec_fusion.examples.epochs import Epochs

KINDS = {
    "as_of": {"examples": "as_of"},
    "as_of, sampled": {"examples": "as_of", "candidates": 3},
    "autoencoder": {"examples": "autoencoder"},
    "held_out, sampled": {"examples": "held_out", "candidates": 3},
}


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, 30, 400)],
            "item_id": [f"i{i}" for i in rng.integers(0, 12, 400)],
            "timestamp": 1.6e9 + np.sort(rng.uniform(0, 2e7, 400)),
        }
    )
    return Interactions.from_frame(
        frame, Catalogue(pd.DataFrame({"item_id": [f"i{i}" for i in range(12)]}))
    )


def _epoch(dataset):
    return [
        {name: value.tobytes() for name, value in b.items()} for b in dataset.as_numpy_iterator()
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_shards_share_every_epoch(events, kind):
    options = KINDS[kind]
    whole = events.batches(8, seed=3, **options)
    parts = [events.batches(8, seed=3, shard=(index, 3), **options) for index in range(3)]
    for _ in range(2):
        expected, shards = _epoch(whole), [_epoch(part) for part in parts]
        own = len(expected) // 3
        assert [len(part) for part in parts] == [own] * 3
        together = [batch for row in zip(*shards, strict=True) for batch in row]
        assert together == expected[: 3 * own]


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_is_a_function_of_its_number(events, kind):
    through = events.batches(8, seed=3, **KINDS[kind])
    first, second = _epoch(through), _epoch(through)
    assert first != second
    assert _epoch(events.batches(8, seed=3, first_epoch=1, **KINDS[kind])) == second


def test_a_batch_by_hand():
    # The plan is the epoch's first draw from 0..9; batch i adds i, and a draw of its own.
    spec = {"value": tf.TensorSpec([2], tf.float64)}

    def build(plan, place, rng):
        return {"value": np.array([plan + place, rng.random()])}

    batches = epoch_batches(3, lambda rng: rng.integers(10), build, spec, Epochs(5))
    for epoch in range(2):
        plan = np.random.default_rng([5, epoch]).integers(10)
        found = [batch["value"].tolist() for batch in batches.as_numpy_iterator()]
        draws = [np.random.default_rng([5, epoch, place]).random() for place in range(3)]
        assert found == [[plan + place, draw] for place, draw in enumerate(draws)]


@pytest.mark.parametrize("shard", [(1, 1), (-1, 2), (0, 0), (0, 500), (0.5, 2), (0,), 1])
def test_bad_shards(events, shard):
    with pytest.raises(InputError, match="shard"):
        events.batches(8, examples="autoencoder", shard=shard)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_is_not_cut_into_shards(events, kind):
    split = events.split("random", test=0.3)
    with pytest.raises(InputError, match="shard is only for training"):
        split.test.batches(8, known=split.train, shard=(0, 2), **KINDS[kind])
