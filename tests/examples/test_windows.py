import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.examples import BlockWindow


def epoch(dataset, name="row"):
    return [batch[name].tolist() for batch in dataset.as_numpy_iterator()]


def flat(batches):
    return [row for batch in batches for row in batch]


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(1, 200),
    batch_size=st.integers(1, 50),
    block_rows=st.integers(1, 40),
    blocks=st.integers(1, 6),
    num_shards=st.integers(1, 4),
    shuffle=st.booleans(),
    seed=st.integers(0, 10),
)
def test_every_row_once_an_epoch_over_all_shards(
    rows, batch_size, block_rows, blocks, num_shards, shuffle, seed
):
    window = BlockWindow({"row": np.arange(rows)})
    seen, lengths = [], []
    for index in range(num_shards):
        dataset = window.batches(
            batch_size,
            seed=seed,
            shuffle=shuffle,
            block_rows=block_rows,
            blocks=blocks,
            shard=(index, num_shards),
        )
        batches = epoch(dataset)
        assert len(batches) == dataset.cardinality()
        assert all(len(batch) == batch_size for batch in batches[:-1])
        seen += flat(batches)
        lengths.append(len(flat(batches)))
    assert sorted(seen) == list(range(rows))
    assert max(lengths) - min(lengths) <= 1


def test_orders_differ_by_epoch_and_agree_for_equal_seeds():
    window = BlockWindow({"row": np.arange(1000)})
    one, same, other = (window.batches(64, seed=s, block_rows=16, blocks=8) for s in (3, 3, 4))
    epochs = [epoch(one) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert [epoch(same) for _ in range(3)] == epochs
    assert epoch(other) != epochs[0]
    later = window.batches(64, seed=3, block_rows=16, blocks=8, first_epoch=2)
    assert epoch(later) == epochs[2]


def test_repeat_draws_each_epoch_anew():
    window = BlockWindow({"row": np.arange(100)})
    twice = flat(epoch(window.batches(10).repeat(2)))
    assert sorted(twice[:100]) == sorted(twice[100:]) == list(range(100))
    assert twice[:100] != twice[100:]


def test_without_shuffle_the_tables_order_stays():
    batches = epoch(BlockWindow({"row": np.arange(10)}).batches(4, shuffle=False, block_rows=3))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_columns_stay_together_and_keep_their_types():
    columns = {
        "row": np.arange(500, dtype=np.int32),
        "half": np.arange(500, dtype=np.float64) / 2,
        "pair": np.stack([np.arange(500), -np.arange(500)], 1).astype(np.float32),
        "name": np.array([f"n{i}" for i in range(500)], object),
    }
    for batch in BlockWindow(columns).batches(64, block_rows=10, blocks=4):
        rows = batch["row"].numpy()
        assert {name: values.dtype.as_numpy_dtype for name, values in batch.items()} == {
            "row": np.int32,
            "half": np.float64,
            "pair": np.float32,
            "name": object,
        }
        np.testing.assert_array_equal(batch["half"], rows / 2)
        np.testing.assert_array_equal(batch["pair"], np.stack([rows, -rows], 1))
        assert batch["name"].numpy().tolist() == [b"n%d" % row for row in rows]


def test_batches_of_sorted_rows_spread_over_the_table():
    # Uniform draws from n consecutive numbers have a standard deviation of n / sqrt(12).
    rows = 100_000
    window = BlockWindow({"row": np.arange(rows, dtype=np.float64)})
    spread = [np.std(b) / (rows / 12**0.5) for b in epoch(window.batches(512, block_rows=256))]
    assert np.mean(spread) > 0.95


@pytest.mark.parametrize("rows", [5, 300])
def test_batches_survive_a_graph_of_their_own(rows):
    from tfrec_fusion._compat import tf

    dataset = BlockWindow({"row": np.arange(rows)}).batches(32, block_rows=8, blocks=3)

    @tf.function
    def total():
        return dataset.reduce(tf.constant(0, tf.int64), lambda s, b: s + tf.reduce_sum(b["row"]))

    assert int(total()) == rows * (rows - 1) // 2
