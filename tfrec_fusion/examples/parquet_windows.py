"""Shuffled batches from Parquet files that are larger than memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec_fusion._compat import tf
from tfrec_fusion.data.tables import parquet_files
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.errors import InputError, check_whole_number
from tfrec_fusion.examples.epoch_batches import check_shard, epoch_elements
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.read_ahead import read_ahead


class ParquetWindow:
    """Batches of a Parquet file or folder, shuffled within windows of random row groups.

    An epoch shuffles the row groups of all files, reads windows of `row_groups` of them, and
    shuffles the rows of each window in NumPy. At most three windows are in memory: one being read,
    one waiting and one being consumed. No step goes row by row. With large vocabularies, encoding
    the ids takes several times as long as reading; for many epochs, store the integer rows instead.

    Args:
      path: a Parquet file, or a folder of them with equal schemas. Small row groups (some 10,000
        rows) mix well and keep windows small.
      vocabularies: id column -> its vocabulary, e.g. `{"user_id": events.users}`. The column
        `user_id` becomes `user`: int32 rows, -1 if unknown.
      columns: columns to read; by default those with a vocabulary and all numbers, booleans and
        times. Named string columns stay strings; times become float64 unix seconds.

    Raises:
      InputError: an unreadable file, files of different schemas, a column that is absent, has nulls
        or is neither numeric nor text, or no rows.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        vocabularies: Mapping[str, Vocabulary] | None = None,
        columns: Sequence[str] | None = None,
    ):
        self._vocabularies = dict(vocabularies or {})
        self._files = parquet_files(path, "parquet")
        try:
            self._metadata = [pa.parquet.read_metadata(file) for file in self._files]
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"parquet: {path} is not readable ({reason})") from None
        schema = self._metadata[0].schema.to_arrow_schema().remove_metadata()
        for file, metadata in zip(self._files, self._metadata, strict=True):
            if not metadata.schema.to_arrow_schema().remove_metadata().equals(schema):
                raise InputError(
                    f"parquet: {file} has another schema than {self._files[0]}; write all files "
                    "with one schema"
                )
        self._columns = self._choose(schema, columns)
        self._check_nulls()
        self._groups = [
            (file, group, metadata.row_group(group).num_rows)
            for file, metadata in enumerate(self._metadata)
            for group in range(metadata.num_row_groups)
            if metadata.row_group(group).num_rows
        ]
        if not self._groups:
            raise InputError(f"parquet: the table has no rows. Received: {path}")
        empty = schema.empty_table().select(self._columns)
        self._signature = {
            name: tf.TensorSpec([None], tf.string if values.dtype == object else values.dtype)
            for name, values in self._decode(empty).items()
        }

    def __len__(self) -> int:
        return sum(rows for _, _, rows in self._groups)

    def batches(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        row_groups: int = 8,
        shard: tuple[int, int] = (0, 1),
        first_epoch: int = 0,
    ) -> tf.data.Dataset:
        """Returns a dataset of dicts `{name: [batch]}`; each pass is an epoch in a new order.

        An epoch has every row exactly once; its last batch may be smaller. Equal seeds give equal
        sequences of epochs; see `Epochs`.

        Args:
          batch_size: rows per batch.
          seed: of the order.
          shuffle: False keeps the order of the files and rows.
          row_groups: number of row groups per window.
          shard: (index, count) of the worker; each worker reads its own row groups, assigned so
            that the numbers of rows are similar.
          first_epoch: number of epochs already done; the dataset continues with the next one.

        Raises:
          InputError: a size that is not positive, a shard outside their count, or a shard without
            rows.
        """
        sizes = {"batch_size": batch_size, "row_groups": row_groups}
        for name, value in sizes.items():
            check_whole_number(f"batches: {name}", value)
        index, count = check_shard(shard)
        if count > len(self._groups):
            raise InputError(
                f"batches: {len(self._groups)} row groups are too few for {count} shards; write "
                f"smaller ones. Received: shard={shard}"
            )
        groups = self._shard(count, index)
        epochs = Epochs(seed, first_epoch)

        def plan(rng):
            return rng.permutation(groups) if shuffle else groups

        def build(order, place, rng):
            window = self._read(order[place * row_groups : (place + 1) * row_groups])
            if shuffle:
                rows = rng.permutation(len(next(iter(window.values()))))
                window = {name: values[rows] for name, values in window.items()}
            return window

        rows = sum(self._groups[group][2] for group in groups)
        places = range(-(-len(groups) // row_groups))
        windows = epoch_elements(places, plan, build, self._signature, epochs)
        batches = windows.prefetch(1).rebatch(batch_size)
        return read_ahead(batches, -(-rows // batch_size), epochs)

    def _choose(self, schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
        def is_number(kind):
            numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
            return numeric or pa.types.is_boolean(kind) or is_time

        def is_text(kind):
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            return pa.types.is_string(kind) or pa.types.is_large_string(kind)

        if columns is None:
            numbers = [field.name for field in schema if is_number(field.type)]
            columns = [*self._vocabularies, *(n for n in numbers if n not in self._vocabularies)]
        for name in [*columns, *self._vocabularies]:
            if name not in schema.names:
                raise InputError(f"parquet: missing column {name!r}. Columns: {schema.names}")
            kind = schema.field(name).type
            if not is_text(kind) and (name in self._vocabularies or not is_number(kind)):
                wanted = "strings" if name in self._vocabularies else "numbers or strings"
                raise InputError(f"parquet: column {name!r} must hold {wanted}. Received: {kind}")
        if not columns:
            raise InputError(f"parquet: no numeric column to read. Columns: {schema.names}")
        return list(columns)

    def _check_nulls(self) -> None:
        """Finds nulls in the files' statistics, before any row is read."""
        for file, metadata in zip(self._files, self._metadata, strict=True):
            for group in range(metadata.num_row_groups):
                for number in range(metadata.num_columns):
                    column = metadata.row_group(group).column(number)
                    nulls = column.statistics.null_count if column.statistics else None
                    if nulls and column.path_in_schema in self._columns:
                        raise InputError(
                            f"parquet: column {column.path_in_schema!r} has {nulls} null values in "
                            f"row group {group} of {file}; drop or fill them"
                        )

    def _shard(self, count: int, index: int) -> list[int]:
        """This worker's row groups; assigned by size, each to the worker with the fewest rows."""
        rows = np.array([rows for _, _, rows in self._groups])
        totals = np.zeros(count, np.int64)
        mine = []
        for group in np.argsort(-rows, kind="stable"):
            worker = int(np.argmin(totals))
            totals[worker] += rows[group]
            if worker == index:
                mine.append(int(group))
        return sorted(mine)

    def _read(self, groups: Sequence[int]) -> dict[str, np.ndarray]:
        parts = []
        for group in groups:
            file, number, _ = self._groups[group]
            reader = pa.parquet.ParquetFile(
                self._files[file],
                metadata=self._metadata[file],
                read_dictionary=list(self._vocabularies),
            )
            with reader:
                parts.append(self._decode(reader.read_row_group(number, columns=self._columns)))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _decode(self, table: pa.Table) -> dict[str, np.ndarray]:
        decoded = {}
        for name in self._columns:
            column = table[name].combine_chunks()
            if column.null_count:  # only in files without statistics
                raise InputError(f"parquet: column {name!r} has {column.null_count} null values")
            if name in self._vocabularies:
                if not pa.types.is_dictionary(column.type):
                    column = column.dictionary_encode()
                rows = self._vocabularies[name].rows(column.dictionary.to_numpy(False))
                decoded[name.removesuffix("_id")] = rows[column.indices.to_numpy()]
            elif pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
                zone = getattr(column.type, "tz", None)
                micros = column.cast(pa.timestamp("us", zone), safe=False)
                decoded[name] = micros.cast(pa.int64()).to_numpy() / 1e6
            else:
                decoded[name] = column.to_numpy(zero_copy_only=False)
        return decoded
