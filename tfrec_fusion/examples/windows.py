"""Shuffled batches from columns in memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.examples.epoch_batches import check_shard
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.packed_columns import PackedColumns
from tfrec_fusion.examples.read_ahead import read_ahead

_TAKEN_BYTES = 1 << 23  # of rows that are gathered at once


class BlockWindow:
    """Batches of columns of equal length, shuffled within windows of random blocks.

    An epoch shuffles blocks of `block_rows` neighbouring rows, takes windows of `blocks` of them,
    and shuffles the rows of each window. The order needs memory for one window only, each batch
    mixes rows from all over the table, and gathers stay local in memory. No step goes row by row,
    and numeric columns are gathered together; see `PackedColumns`.

    Args:
      columns: name -> array `[n, ...]`, all of the same n >= 1.

    Raises:
      InputError: no columns, no rows, or columns of different lengths.

    Example:
      >>> window = BlockWindow({"user": np.arange(10), "item": np.arange(10)})
      >>> [len(batch["user"]) for batch in window.batches(4)]
      [4, 4, 2]
    """

    def __init__(self, columns: Mapping[str, np.ndarray]):
        lengths = {name: len(values) for name, values in columns.items()}
        if not lengths:
            raise InputError("columns: at least one is needed. Received: {}")
        if len(set(lengths.values())) > 1:
            raise InputError(f"columns: all must have the same length. Received: {lengths}")
        self._rows = next(iter(lengths.values()))
        if self._rows == 0:
            raise InputError(f"columns: they have no rows. Received: {lengths}")
        self._columns = PackedColumns(columns)
        self._row_bytes = sum(np.asarray(values[:1]).nbytes for values in columns.values())

    def __len__(self) -> int:
        return self._rows

    def batches(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        block_rows: int = 4096,
        blocks: int = 64,
        shard: tuple[int, int] = (0, 1),
        first_epoch: int = 0,
        epochs: Epochs | None = None,
    ) -> tf.data.Dataset:
        """Returns a dataset of dicts `{name: [batch, ...]}`; each pass is an epoch in a new order.

        An epoch has every row exactly once; its last batch may be smaller. Equal seeds give equal
        sequences of epochs; see `Epochs`.

        Args:
          batch_size: rows per batch.
          seed: of the order.
          shuffle: False keeps the order of the table.
          block_rows: number of neighbouring rows in a block.
          blocks: number of blocks in a window.
          shard: (index, count) of the worker; each worker takes every `count`-th row of the common
            order, so their sizes differ by one row at most.
          first_epoch: number of epochs already done; the dataset continues with the next one.
          epochs: epochs of an enclosing pipeline, which counts them; replaces `seed` and
            `first_epoch`.

        Raises:
          InputError: a size that is not positive, or a shard index outside its count.
        """
        sizes = {"batch_size": batch_size, "block_rows": block_rows, "blocks": blocks}
        for name, value in sizes.items():
            check_whole_number(f"batches: {name}", value)
        index, count = check_shard(shard)
        rows = self._rows
        n_blocks = -(-rows // block_rows)
        n_windows = -(-n_blocks // blocks)
        missing = n_blocks * block_rows - rows
        dtype = tf.int32 if n_blocks * block_rows < 2**31 else tf.int64

        def rows_of(window, epoch_seed):
            """The row numbers `[R]` of a window, in this worker's order."""
            order = tf.range(n_blocks, dtype=dtype)
            if shuffle:
                order = _shuffle(order, tf.stack([epoch_seed, -1]))
            first, last = window * n_blocks // n_windows, (window + 1) * n_blocks // n_windows
            own, start = order[first:last], first * block_rows
            # The table's last block may be short: move it to the window's end, and cut it there.
            is_short = own == n_blocks - 1
            own = tf.concat([own[~is_short], own[is_short]], 0)
            inside = tf.reshape(own[:, None] * block_rows + tf.range(block_rows, dtype=dtype), [-1])
            if missing:
                inside = inside[: tf.size(inside) - tf.where(tf.reduce_any(is_short), missing, 0)]
                short_before = tf.reduce_any(order[:first] == n_blocks - 1)
                start -= tf.where(short_before, tf.constant(missing, tf.int64), 0)
            if shuffle:
                inside = _shuffle(inside, tf.stack([epoch_seed, window]))
            return inside if count == 1 else inside[(index - start) % count :: count]

        counted = None
        if epochs is None:
            epochs = counted = Epochs(seed, first_epoch)
        # Each function of a pipeline adds some 15 ms to the start of an epoch, so there are few.
        windows = epochs.seeds(count=n_windows).enumerate()
        take = self._columns.take
        parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
        if self._row_bytes * block_rows * blocks <= _TAKEN_BYTES:
            taken = windows.map(lambda window, seed: take(rows_of(window, seed)), **parallel)
        else:
            together = max(1, _TAKEN_BYTES // (self._row_bytes * batch_size))
            taken = windows.map(rows_of).rebatch(batch_size * together).map(take, **parallel)
        batches = taken.rebatch(batch_size)
        shard_rows = len(range(index, rows, count))
        return read_ahead(batches, -(-shard_rows // batch_size), counted)


def _shuffle(values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(values, seed)
