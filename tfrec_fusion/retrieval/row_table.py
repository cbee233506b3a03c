"""Lookup from ids to rows inside a TensorFlow graph."""

from __future__ import annotations

from pathlib import Path

from tfrec_fusion._compat import tf


class RowTable(tf.Module):
    """Maps each line of a text file to its int32 row number, and any other id to -1.

    Args:
      path: a file with one id per line; an export copies it into the SavedModel.
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
        """Returns the rows of ids of any shape."""
        return tf.cast(self.table.lookup(ids), tf.int32)
