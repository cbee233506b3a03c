"""Claim 4: shuffled input, against NumPy's permuted gather and a row-by-row tf.data pipeline.

Five columns of integer ids and numbers, batches of 4096. All contenders deliver whole shuffled
epochs; ours are consumed inside a graph, as in `fit`. The lower bound ("floor") only gathers by a
given permutation.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from harness import Claim, Options, interleave, main, seconds

from tfrec_fusion._compat import tf
from tfrec_fusion.examples import BlockWindow, ParquetWindow

FOLDER = Path(__file__).resolve().parent
BATCH = 4096
GROUP_ROWS = 32_768
# Run in a new process: peak memory that reading a table once adds.
MEMORY = """
import json, sys
from harness import peak_mb
from tfrec_fusion.examples import ParquetWindow
small, table = sys.argv[1:]
read = lambda path: sum(1 for _ in ParquetWindow(path).batches(4096))
read(small)
before = peak_mb()
read(table)
print(json.dumps(max(peak_mb() - before, 1)))
"""


def columns(n_rows: int) -> dict[str, np.ndarray]:
    """The columns of a table sorted by time."""
    rng = np.random.default_rng(0)
    return {
        "user": rng.integers(0, 1_000_000, n_rows, dtype=np.int32),
        "item": rng.integers(0, 1_000_000, n_rows, dtype=np.int32),
        "time": np.arange(n_rows, dtype=np.int32),
        "price": rng.random(n_rows, dtype=np.float32),
        "weight": rng.random(n_rows, dtype=np.float32),
    }


def epoch_of(data: tf.data.Dataset):
    """Returns a function that reads a dataset in one graph and returns the number of rows."""
    count = tf.function(lambda: data.reduce(0, lambda n, batch: n + tf.size(batch["user"])))
    return lambda: int(count())


def spread(data: tf.data.Dataset, n_rows: int) -> float:
    """Mean standard deviation of time within a batch, divided by that of the whole table."""
    inside = [np.std(batch["time"]) for batch in data if len(batch["time"]) == BATCH]
    return float(np.mean(inside) / np.std(np.arange(n_rows)))


def write(folder: Path, n_rows: int) -> Path:
    path = folder / f"{n_rows}.parquet"
    pa.parquet.write_table(pa.table(columns(n_rows)), path, row_group_size=GROUP_ROWS)
    return path


def growth_mb(small: Path, table: Path) -> float:
    command = [sys.executable, "-c", MEMORY, str(small), str(table)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=FOLDER)
    return json.loads(done.stdout.splitlines()[-1])


def claims(options: Options):
    n_rows = options.size(5_000_000, 2_000_000, 100_000)
    n_slow = options.size(200_000, 100_000, 5_000)
    table = columns(n_rows)
    order = np.random.default_rng(1).permutation(n_rows)

    def floor():
        for start in range(0, n_rows, BATCH):
            rows = order[start : start + BATCH]
            for values in table.values():
                values[rows]

    slow = (
        tf.data.Dataset.from_tensor_slices({name: v[:n_slow] for name, v in table.items()})
        .shuffle(100_000)
        .map(lambda row: row, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    window = BlockWindow(table).batches(BATCH)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), n_rows)
        parquet = ParquetWindow(path).batches(BATCH)
        rows = {"BlockWindow": n_rows, "NumPy": n_rows, "row by row": n_slow, "Parquet": n_rows}
        timings = interleave(
            {
                "BlockWindow": seconds(epoch_of(window)),
                "NumPy": seconds(floor),
                "row by row": seconds(epoch_of(slow)),
                "Parquet": seconds(epoch_of(parquet)),
            },
            options.rounds,
        )
        timings = {name: timing.divided_by(rows[name]) for name, timing in timings.items()}
        unit = {"unit": 1e9, "unit_name": "ns a row"}
        what = f"{n_rows:,} rows x {len(table)} columns"
        yield Claim.of(
            f"block-window input in memory, {what}",
            "NumPy's permuted gather",
            timings,
            "BlockWindow",
            "NumPy",
            goal=1.3,
            better="lower",
            **unit,
        )
        yield Claim.of(
            f"block-window input in memory, {what}",
            "from_tensor_slices, shuffle, map, batch",
            timings,
            "BlockWindow",
            "row by row",
            goal=100,
            **unit,
        )
        yield Claim(
            f"spread within a batch on time-sorted data, {what}",
            "a uniform shuffle",
            spread(window, n_rows),
            0.9,
        )
        yield Claim.of(
            f"Parquet windows, {what}",
            "NumPy's permuted gather in memory",
            timings,
            "Parquet",
            "NumPy",
            goal=5,
            better="lower",
            **unit,
        )
        yield Claim(
            f"spread within a batch on time-sorted Parquet, {what}",
            "a uniform shuffle",
            spread(parquet, n_rows),
            None,
        )
        # Both tables are larger than the part in memory at a time, windows of 8 row groups.
        small = write(Path(folder), GROUP_ROWS)
        n_large = options.size(5_000_000, 3_000_000, 4 * GROUP_ROWS)
        grown = {n: growth_mb(small, write(Path(folder), n)) for n in (n_large, 4 * n_large)}
        window_mb = 8 * GROUP_ROWS * sum(values.itemsize for values in table.values()) / 2**20
        yield Claim(
            f"peak memory of reading {4 * n_large:,} rows of Parquet once",
            f"the same for {n_large:,} rows",
            grown[4 * n_large] / grown[n_large],
            1.5,
            "lower",
            detail=f"{grown[4 * n_large]:.0f} MB; {grown[n_large]:.0f} MB; a window is "
            f"{window_mb:.1f} MB",
        )


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
