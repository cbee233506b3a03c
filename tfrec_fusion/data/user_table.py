"""The table of users and their attributes."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfrec_fusion.data.table_vectors import arrays_of, table_vectors
from tfrec_fusion.data.tables import (
    check_values,
    distinct_ids,
    read_table,
    renamed,
    require_columns,
    split_lists,
    with_missing,
)
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.embeddings import AlignedVectors
from tfrec_fusion.errors import InputError


class UserTable:
    """The users: one row per user with id and attributes.

    Pass it to `Interactions` as `users=`. It may hold users without events, whom an export then
    knows by their attributes, and need not hold every user of the events.

    Args:
      frame: a string column `user_id` and any further columns.
      vectors: name -> what `open_vectors` takes: a `VectorStore`, its folder, a `.npy` file or an
        array `[n, dim]` in the frame's order; for the feature `Vectors`.
      columns: name -> the frame's column for it, e.g. `{"user_id": "userId"}`.
      lists: column of several texts -> their separator, e.g. `{"interests": "|"}`.

    Attributes:
      frame: the rows.
      vocabulary: the ids, in the order of the frame.
      vectors: name -> vectors in the order of the frame.

    Raises:
      InputError: `user_id` is missing, null, empty, not a string or repeated; a number is infinite
        or beyond float32, or a text is not valid Unicode; `vectors` is no mapping, has the name of
        a column, or a store does not fit.

    Example:
      >>> users = UserTable(pd.DataFrame({"user_id": ["a", "b"], "age": [31, 64]}))
      >>> users.rows_of(["b", "new"])["age"].tolist()
      [64, <NA>]
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        vectors: Mapping[str, object] | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        lists: Mapping[str, str] | None = None,
    ):
        frame = renamed(frame, columns, "users")
        require_columns(frame, ["user_id"], "users")
        ids = distinct_ids(frame, "user_id", "users")
        frame = split_lists(frame, lists or {}, "users")
        for column in frame:
            check_values(frame, column, "users")
        self.frame = frame.reset_index(drop=True)
        self.vocabulary = Vocabulary(ids)
        self.vectors: dict[str, AlignedVectors] = table_vectors(
            vectors, ids, "users", self.frame.columns
        )

    @classmethod
    def of(cls, users: UserTable | pd.DataFrame | str | os.PathLike | None) -> UserTable | None:
        """Returns the table of a frame or a path; a table and None stay as they are.

        Raises:
          InputError: anything else, or an invalid table.
        """
        if users is None or isinstance(users, UserTable):
            return users
        if isinstance(users, pd.DataFrame):
            return cls(users)
        if isinstance(users, str | os.PathLike):
            return cls.from_file(users)
        raise InputError(
            "interactions: users must be a UserTable, a DataFrame or a path. "
            f"Received: {type(users).__name__}"
        )

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike,
        vectors: Mapping[str, object] | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        lists: Mapping[str, str] | None = None,
    ) -> UserTable:
        """Reads a path that ends in .csv or .csv.gz as CSV, any other as Parquet."""
        return cls(read_table(path, None, "users", columns), vectors, lists=lists)

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def columns(self) -> list[str]:
        """Names of the columns and of the vectors, which `rows_of` returns."""
        return [*self.frame.columns, *self.vectors]

    def rows_of(self, user_ids) -> pd.DataFrame:
        """Returns the rows of `user_ids` `[n]` in their order; all values missing if unknown.

        Whole numbers and booleans have pandas's nullable types, so that none changes where others
        are missing. Vectors are columns of arrays `[dim]`, None for missing ones.
        """
        rows = self.vocabulary.rows(np.asarray(user_ids, dtype=object))
        found = with_missing(self.frame).reindex(rows).reset_index(drop=True)
        for name, aligned in self.vectors.items():
            found[name] = arrays_of(aligned, rows)
        return found
