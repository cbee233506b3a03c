import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Vocabulary
from tfrec_fusion.examples import ParquetWindow


def write(folder, lengths, row_group_size, **columns):
    """Files of the given lengths whose column `row` counts through all of them."""
    start = 0
    for number, length in enumerate(lengths):
        rows = np.arange(start, start + length)
        table = pa.table({"row": rows} | {name: make(rows) for name, make in columns.items()})
        pa.parquet.write_table(table, folder / f"{number}.parquet", row_group_size=row_group_size)
        start += length
    return folder


def epoch(dataset):
    return [batch["row"].tolist() for batch in dataset.as_numpy_iterator()]


def flat(batches):
    return [row for batch in batches for row in batch]


@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=3).filter(any),
    row_group_size=st.integers(1, 15),
    row_groups=st.integers(1, 4),
    batch_size=st.integers(1, 20),
    shuffle=st.booleans(),
)
def test_every_row_once_an_epoch(
    tmp_path_factory, lengths, row_group_size, row_groups, batch_size, shuffle
):
    folder = write(tmp_path_factory.mktemp("rows"), lengths, row_group_size)
    window = ParquetWindow(folder)
    assert len(window) == sum(lengths)
    dataset = window.batches(batch_size, row_groups=row_groups, shuffle=shuffle)
    batches = epoch(dataset)
    assert len(batches) == dataset.cardinality()
    assert all(len(batch) == batch_size for batch in batches[:-1])
    rows = flat(batches)
    assert (sorted(rows) if shuffle else rows) == list(range(sum(lengths)))


def test_orders_differ_by_epoch_and_agree_for_equal_seeds(tmp_path):
    window = ParquetWindow(write(tmp_path, [300, 200], 20))
    one, same, other = (window.batches(16, seed=seed, row_groups=4) for seed in (3, 3, 4))
    epochs = [epoch(one) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert [epoch(same) for _ in range(3)] == epochs
    assert epoch(other) != epochs[0]
    assert epoch(window.batches(16, seed=3, row_groups=4, first_epoch=2)) == epochs[2]


def test_shards_share_the_row_groups_out(tmp_path):
    # Row groups of 20, 20, 10 and 20, 20 rows. To three workers, the largest first: 20 and 20 (the
    # fourth is dealt to the first worker), 20 and 10, 20.
    window = ParquetWindow(write(tmp_path, [50, 40], 20))
    shards = [flat(epoch(window.batches(7, shard=(index, 3)))) for index in range(3)]
    assert sorted(len(shard) for shard in shards) == [20, 30, 40]
    assert sorted(flat(shards)) == list(range(90))


def test_columns_are_encoded_and_keep_their_rows(tmp_path):
    write(
        tmp_path,
        [60, 60],
        25,
        user_id=lambda rows: [f"u{row}" for row in rows],
        half=lambda rows: (rows / 2).astype(np.float32),
        even=lambda rows: rows % 2 == 0,
        time=lambda rows: pa.array(rows * 500, pa.timestamp("ms")),
        day=lambda rows: pa.array(rows.astype(np.int32), pa.date32()),
        name=lambda rows: [f"n{row}" for row in rows],
    )
    users = Vocabulary([f"u{row}" for row in range(100)])  # u100 and above are unknown.
    numbers = ParquetWindow(tmp_path, {"user_id": users}).batches(32)
    assert {name: spec.dtype.name for name, spec in numbers.element_spec.items()} == {
        "user": "int32",
        "row": "int64",
        "half": "float32",
        "even": "bool",
        "time": "float64",
        "day": "float64",
    }
    for batch in numbers.as_numpy_iterator():
        rows = batch["row"]
        np.testing.assert_array_equal(batch["user"], np.where(rows < 100, rows, -1))
        np.testing.assert_array_equal(batch["half"], rows / 2)
        np.testing.assert_array_equal(batch["even"], rows % 2 == 0)
        np.testing.assert_array_equal(batch["time"], rows / 2)
        np.testing.assert_array_equal(batch["day"], rows * 86_400)
    named = ParquetWindow(tmp_path, columns=["name", "row"]).batches(32)
    for batch in named.as_numpy_iterator():
        assert batch["name"].tolist() == [b"n%d" % row for row in batch["row"]]


def test_dictionary_columns_of_pandas_are_encoded(tmp_path):
    frame = pd.DataFrame({"item_id": pd.Categorical(["b", "a", "b"]), "row": [0, 1, 2]})
    frame.to_parquet(tmp_path / "x.parquet")
    window = ParquetWindow(tmp_path / "x.parquet", {"item_id": Vocabulary(["a", "b"])})
    (batch,) = window.batches(4, shuffle=False).as_numpy_iterator()
    assert batch["item"].tolist() == [1, 0, 1]


def test_nulls_without_statistics_are_found_when_read(tmp_path):
    table = pa.table({"row": pa.array([1, None])})
    pa.parquet.write_table(table, tmp_path / "x.parquet", write_statistics=False)
    dataset = ParquetWindow(tmp_path).batches(2)
    with pytest.raises(Exception, match="'row' has 1 null values"):
        epoch(dataset)


def test_a_window_mixes_the_table(tmp_path):
    # Uniform draws from n consecutive numbers have a standard deviation of n / sqrt(12).
    window = ParquetWindow(write(tmp_path, [20_000] * 3, 500))
    spread = [np.std(b) / (60_000 / 12**0.5) for b in epoch(window.batches(512, row_groups=30))]
    assert np.mean(spread) > 0.9
