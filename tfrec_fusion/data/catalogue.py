"""The catalogue: items, their attributes and their vectors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfrec_fusion.data.tables import (
    check_texts,
    check_values,
    distinct_ids,
    read_table,
    renamed,
    require_columns,
    split_lists,
)
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.embeddings import AlignedVectors, open_vectors
from tfrec_fusion.errors import InputError

_TITLES = ("title", "name", "text")
_ID_NAME = re.compile(r"(^|[\W_])[iI][dD]$|[a-z0-9]I[dD]$")
_LEAST_IDS = 30  # fewer distinct whole numbers may well be prices


class Catalogue:
    """The items: one row per item with id, texts, categories and numbers, and item vectors.

    Args:
      frame: a string column `item_id` and any further columns. An item's row in the frame is its
        row everywhere in the library.
      vectors: name -> what `open_vectors` takes: a `VectorStore`, its folder, a `.npy` file or an
        array `[n_items, dim]` in the frame's order.
      columns: name -> the frame's column for it, e.g. `{"item_id": "movieId"}`.
      lists: column of several texts -> their separator, e.g. `{"genres": "|"}`; the column then
        holds lists, and an export can filter by each text.
      numbers: names of the numeric columns that models may use as features; [] for none. By
        default all numeric and boolean columns, except those that look like ids: columns whose
        name ends in the word "id" ("tmdbId", "s3_id"), and whole numbers that are all different
        (in 30 items or more).

    Attributes:
      numeric_columns: names of the columns that models may use, in alphabetical order.
      id_columns: names of the numeric columns that were left out because they look like ids.
      numbers_inferred: whether `numbers` was not given.

    Raises:
      InputError: `item_id` is missing, null, empty, not a string or repeated; `title`, `name` or
        `text` holds anything but text; a number is infinite or beyond float32, or a text is not
        valid Unicode; `vectors` is no mapping, or a store does not fit; `numbers` names a column
        that is absent or not numeric.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        vectors: Mapping[str, object] | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        lists: Mapping[str, str] | None = None,
        numbers: Sequence[str] | None = None,
    ):
        frame = renamed(frame, columns, "items")
        require_columns(frame, ["item_id"], "items")
        ids = distinct_ids(frame, "item_id", "items")
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
        self.id_columns: list[str] = []
        self.numbers_inferred = numbers is None
        if numbers is None:
            numeric = [c for c in self.frame if pd.api.types.is_numeric_dtype(self.frame[c])]
            self.id_columns = [c for c in numeric if looks_like_ids(self.frame[c])]
            numbers = [c for c in numeric if c not in self.id_columns]
        elif isinstance(numbers, str):
            raise InputError(f"items: numbers must be a list of columns. Received: {numbers!r}")
        else:
            for column in numbers:
                self.numeric(column)
        self.numeric_columns: list[str] = sorted(set(numbers))

    @classmethod
    def from_parquet(
        cls, path: str | os.PathLike, vectors=None, *, columns=None, lists=None, numbers=None
    ) -> Catalogue:
        """Reads a Parquet file or a folder of them."""
        frame = read_table(path, "parquet", "items", columns)
        return cls(frame, vectors, lists=lists, numbers=numbers)

    @classmethod
    def from_csv(
        cls, path: str | os.PathLike, vectors=None, *, columns=None, lists=None, numbers=None
    ) -> Catalogue:
        """Reads a CSV file; ids stay strings."""
        return cls(read_table(path, "csv", "items", columns), vectors, lists=lists, numbers=numbers)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike, vectors=None, *, columns=None, lists=None, numbers=None
    ) -> Catalogue:
        """Reads a path that ends in .csv or .csv.gz as CSV, any other as Parquet."""
        return cls(read_table(path, None, "items", columns), vectors, lists=lists, numbers=numbers)

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def titles(self) -> np.ndarray:
        """`[n_items]` strings for display: the titles, else the names, the texts or the ids."""
        for column in _TITLES:
            if column in self.frame:
                return self.texts(column)
        return self.vocabulary.ids

    def texts(self, column: str) -> np.ndarray:
        """Returns a text column: `[n_items]` strings, "" for missing values."""
        if column not in self.frame:
            raise InputError(f"items: no column {column!r}. Columns: {list(self.frame.columns)}")
        return check_texts(self.frame, column, "items")

    def numeric(self, column: str) -> np.ndarray:
        """Returns a numeric column: `[n_items]` float32, NaN for missing values."""
        if column not in self.frame:
            raise InputError(f"items: no column {column!r}. Columns: {list(self.frame.columns)}")
        try:
            return self.frame[column].astype("Float64").to_numpy(np.float32, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"items: column {column!r} is not numeric ({error})") from None


def looks_like_ids(values: pd.Series) -> bool:
    """Whether a numeric column is named like an id, or holds different whole numbers only."""
    if pd.api.types.is_bool_dtype(values):
        return False
    if _ID_NAME.search(str(values.name)):
        return True
    known = values.dropna()
    # pandas stores whole numbers with missing values as floats.
    gaps = len(known) < len(values) and (known == np.rint(known)).all()
    whole = pd.api.types.is_integer_dtype(values) or gaps
    return bool(whole and len(known) >= _LEAST_IDS and known.is_unique)
