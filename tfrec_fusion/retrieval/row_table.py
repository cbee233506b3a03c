"""Ids to rows inside a graph."""

from __future__ import annotations

from pathlib import Path

from tfrec_fusion._compat import tf


class RowTable(tf.Module):
    """A table from the lines of a text file to int32 rows, -1 for anything else.

    Args:
      path: one id a line; the file is copied into the SavedModel.
    """

    def __init__(self, path: Path):
        super().__init__()
        lines = tf.lookup.TextFileInitializer(
            str(path),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(lines, default_value=-1)

    def lookup(self, ids) -> tf.Tensor:
        """Rows of ids of any shape."""
        return tf.cast(self.table.lookup(ids), tf.int32)
