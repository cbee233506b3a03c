"""Shuffled whole batches from columns in memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError


class BlockWindow:
    """Batches of equally long columns, shuffled by windows of random blocks.

    An epoch puts the blocks of `block_rows` neighbouring rows in random order, takes `blocks` of
    them at a time, and permutes the rows of such a window. The order costs memory for one window
    only, each batch mixes rows from all over the table, and gathers stay near each other in memory.
    No step goes row by row: a batch is one gather a column.

    The columns are held once, as CPU tensors outside the graph, so that they may be larger than the
    2 GB of a GraphDef.

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
        with tf.device("CPU:0"):
            self._columns = {name: tf.convert_to_tensor(values) for name, values in columns.items()}

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
        num_shards: int = 1,
        index: int = 0,
        first_epoch: int = 0,
    ) -> tf.data.Dataset:
        """A dataset of dicts `{name: [batch, ...]}`; each pass is an epoch in another order.

        An epoch has every row exactly once; its last batch has what is left. Equal seeds give equal
        sequences of epochs.

        Args:
          batch_size: rows a batch.
          seed: of the order.
          shuffle: False keeps the table's order.
          block_rows: neighbouring rows that are moved together.
          blocks: blocks in a window.
          num_shards: of workers; every num_shards-th row of the common order goes to a worker, so
            their shares differ by one row at most.
          index: of this worker.
          first_epoch: how many epochs of the sequence to leave out, to go on with a training.

        Raises:
          InputError: a size that is not positive or an index outside the shards.
        """
        sizes = {"batch_size": batch_size, "block_rows": block_rows, "blocks": blocks}
        for name, value in (sizes | {"num_shards": num_shards}).items():
            if value < 1:
                raise InputError(f"batches: {name} must be at least 1. Received: {value}")
        if not 0 <= index < num_shards:
            raise InputError(f"batches: index must be in [0, {num_shards}). Received: {index}")
        rows = self._rows
        n_blocks = -(-rows // block_rows)
        blocks = min(blocks, n_blocks)
        window_rows = blocks * block_rows
        n_windows = -(-n_blocks // blocks)
        missing = n_blocks * block_rows - rows
        dtype = tf.int32 if n_blocks * block_rows < 2**31 else tf.int64

        def shard(order, start):
            return order if num_shards == 1 else order[(index - start) % num_shards :: num_shards]

        def in_order(window):
            start = window * window_rows
            end = tf.minimum(start + window_rows, rows)
            return shard(tf.range(tf.cast(start, dtype), tf.cast(end, dtype)), start)

        def shuffled(epoch_seed, window):
            order = tf.random.experimental.stateless_shuffle(
                tf.range(n_blocks, dtype=dtype), tf.stack([epoch_seed, -1])
            )
            chosen = order[window * blocks : (window + 1) * blocks]
            index_in = chosen[:, None] * block_rows + tf.range(block_rows, dtype=dtype)
            index_in = tf.reshape(index_in, [-1])
            start = window * window_rows
            if missing:
                index_in = tf.boolean_mask(index_in, index_in < rows)
                tail_before = tf.reduce_any(order[: window * blocks] == n_blocks - 1)
                start -= tf.where(tail_before, tf.cast(missing, tf.int64), 0)
            seed_pair = tf.stack([epoch_seed, window])
            return shard(tf.random.experimental.stateless_shuffle(index_in, seed_pair), start)

        windows = tf.data.Dataset.range(n_windows)
        if shuffle:
            epochs = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
            for _ in range(first_epoch):
                next(iter(epochs))
            windows = epochs.flat_map(
                lambda epoch_seed: windows_of(epoch_seed, n_windows).map(shuffled)
            )
        else:
            windows = windows.map(in_order)
        columns = self._columns
        shard_rows = len(range(index, rows, num_shards))
        return (
            windows.rebatch(batch_size)
            .map(
                lambda rows: {name: tf.gather(values, rows) for name, values in columns.items()},
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .apply(tf.data.experimental.assert_cardinality(-(-shard_rows // batch_size)))
            .prefetch(tf.data.AUTOTUNE)
        )


def windows_of(epoch_seed: tf.Tensor, n_windows: int) -> tf.data.Dataset:
    """The windows of an epoch as pairs (its seed, the window's number), int64."""
    return tf.data.Dataset.range(n_windows).map(lambda window: (epoch_seed, window))
