"""The items that can be recommended, and what is known of each."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfrec_fusion.data._tables import (
    check_ids,
    check_texts,
    check_values,
    read_table,
    renamed,
    require_columns,
    split_lists,
)
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.embeddings import AlignedVectors, open_vectors
from tfrec_fusion.errors import InputError

_TITLES = ("title", "name", "text")


class Catalogue:
    """One row an item: its id, text, categories and numbers, and any number of vector stores.

    Args:
      frame: a string column `item_id` and any further columns. An item's row in the frame is its
        row everywhere in the library.
      vectors: name -> what `open_vectors` takes: a `VectorStore`, its folder, a `.npy` file or an
        array `[n_items, dim]` in the frame's order.
      columns: name -> the frame's column that has it, e.g. `{"item_id": "movieId"}`.
      lists: column -> what separates the texts that it holds, e.g. `{"genres": "|"}`; the column
        then holds lists, by whose texts an export can filter.

    Raises:
      InputError: `item_id` is missing, null, empty, not a string or repeated; `title`, `name` or
        `text` holds something else than text; a number is infinite or float32 cannot hold it, a
        text UTF-8 cannot; `vectors` names no stores, or one does not fit.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        vectors: Mapping[str, object] | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        lists: Mapping[str, str] | None = None,
    ):
        frame = renamed(frame, columns, "items")
        require_columns(frame, ["item_id"], "items")
        ids = check_ids(frame, "item_id", "items")
        duplicated = pd.Series(ids).duplicated()
        if duplicated.any():
            raise InputError(
                f"items: column 'item_id' has {duplicated.sum()} repeated ids, first "
                f"{ids[duplicated][:3].tolist()}; keep one row an item"
            )
        for column in _TITLES:
            if column in frame:
                check_texts(frame, column, "items")
        frame = split_lists(frame, lists or {}, "items")
        for column in frame:
            check_values(frame, column, "items")
        self.frame = frame.reset_index(drop=True)
        self.vocabulary = Vocabulary(ids)
        if vectors is not None and not isinstance(vectors, Mapping):
            raise InputError(
                "items: vectors must name each store, as in vectors={'text': array}. "
                f"Received: {type(vectors).__name__}"
            )
        self.vectors: dict[str, AlignedVectors] = {
            name: open_vectors(source, self.vocabulary.ids)
            for name, source in (vectors or {}).items()
        }

    @classmethod
    def from_parquet(
        cls, path: str | os.PathLike, vectors=None, *, columns=None, lists=None
    ) -> Catalogue:
        """Reads a Parquet file or a folder of them."""
        return cls(read_table(path, "parquet", "items", columns), vectors, lists=lists)

    @classmethod
    def from_csv(
        cls, path: str | os.PathLike, vectors=None, *, columns=None, lists=None
    ) -> Catalogue:
        """Reads a CSV file; ids stay strings."""
        return cls(read_table(path, "csv", "items", columns), vectors, lists=lists)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike, vectors=None, *, columns=None, lists=None
    ) -> Catalogue:
        """`from_csv` of a path that ends in .csv or .csv.gz, `from_parquet` of any other."""
        return cls(read_table(path, None, "items", columns), vectors, lists=lists)

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def titles(self) -> np.ndarray:
        """`[n_items]` strings for people: the title, else the name, the text or the id."""
        for column in _TITLES:
            if column in self.frame:
                return self.texts(column)
        return self.vocabulary.ids

    @property
    def numeric_columns(self) -> list[str]:
        """Names of the numeric columns; booleans count."""
        return [c for c in self.frame if pd.api.types.is_numeric_dtype(self.frame[c])]

    def texts(self, column: str) -> np.ndarray:
        """A text column, `[n_items]` strings, "" where missing."""
        if column not in self.frame:
            raise InputError(f"items: no column {column!r}. Columns: {list(self.frame.columns)}")
        return check_texts(self.frame, column, "items")

    def numeric(self, column: str) -> np.ndarray:
        """A numeric column, `[n_items]` float32 with NaN where missing."""
        if column not in self.frame:
            raise InputError(f"items: no column {column!r}. Columns: {list(self.frame.columns)}")
        try:
            return self.frame[column].astype("Float64").to_numpy(np.float32, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"items: column {column!r} is not numeric ({error})") from None
