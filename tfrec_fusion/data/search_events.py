"""Searches: queries and the items that were wanted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tfrec_fusion.data._times import timestamps
from tfrec_fusion.data.catalogue import Catalogue
from tfrec_fusion.data.tables import (
    check_ids,
    check_present,
    check_texts,
    empty_ids,
    read_table,
    renamed,
    require_columns,
)
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.embeddings import open_vectors
from tfrec_fusion.errors import InputError

_WHAT = "searches"


@dataclass(frozen=True, eq=False)
class SearchEvents:
    """Pairs of a query and an item that was wanted, e.g. opened or bought after the search.

    Attributes:
      catalogue: the items.
      users: vocabulary of the user ids; None if the searches have no users.
      query: `[n]` strings.
      item: `[n]` int32 rows of the catalogue.
      user: `[n]` int32 rows of `users`, -1 for none or an unknown one.
      timestamp: `[n]` float64 unix seconds, or None.
      vectors: `[n, dims]` float32 vectors of the queries, or None.

    Example:
      >>> frame = pd.DataFrame({"query": ["red thing", "lamp"], "item_id": ["i3", "i4"]})
      >>> searches = SearchEvents.from_frame(frame, shop)
      >>> len(searches), searches.item.tolist()
      (2, [3, 4])
    """

    catalogue: Catalogue
    users: Vocabulary | None
    query: np.ndarray
    item: np.ndarray
    user: np.ndarray
    timestamp: np.ndarray | None = None
    vectors: np.ndarray | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        catalogue: Catalogue,
        *,
        users: Vocabulary | None = None,
        vectors=None,
        unknown_items: str = "error",
        columns: Mapping[str, str] | None = None,
        timestamp_unit: str | None = None,
    ) -> SearchEvents:
        """Checks and encodes a frame of searches.

        Args:
          frame: string columns `query` and `item_id`; optional `user_id`, null or "" for nobody,
            and `timestamp`. Other columns are ignored.
          catalogue: the items.
          users: the vocabulary of users, e.g. `split.train.users`; users that it lacks are unknown.
          vectors: a `VectorStore` or its folder, whose ids are those of the column `query_id`; or
            what else `open_vectors` takes, in the frame's order.
          unknown_items: for searches whose item is not in the catalogue: "error", or "drop" them.
          columns: name -> the frame's column for it.
          timestamp_unit: of a numeric `timestamp`, see `Interactions.from_frame`.

        Raises:
          InputError: a column is missing or invalid, a query is empty, or vectors do not fit or a
            store lacks some; names the column, the count and the first examples.
        """
        if unknown_items not in ("error", "drop"):
            raise InputError(
                f"{_WHAT}: unknown_items must be 'error' or 'drop'. Received: {unknown_items!r}"
            )
        frame = renamed(frame, columns, _WHAT)
        require_columns(frame, ["query", "item_id"], _WHAT)
        query = check_texts(frame, "query", _WHAT)
        blank = np.array([not text.strip() for text in query])
        if blank.any():
            raise InputError(
                f"{_WHAT}: column 'query' has {blank.sum()} empty queries, first at row "
                f"{int(np.argmax(blank))}; drop them"
            )
        ids = check_ids(frame, "item_id", _WHAT)
        item, user = catalogue.vocabulary.rows(ids), np.full(len(frame), -1, np.int32)
        if users is not None and not isinstance(users, Vocabulary):
            raise InputError(
                f"{_WHAT}: users must be a Vocabulary, e.g. split.train.users. "
                f"Received: {type(users).__name__}"
            )
        if users is not None and "user_id" in frame:
            named = ~empty_ids(frame, "user_id")
            user[named] = users.rows(check_ids(frame[named], "user_id", _WHAT))
        times = None
        if "timestamp" in frame:
            times = timestamps(frame, "timestamp", _WHAT, timestamp_unit)
            check_present(times, "timestamp", _WHAT)
        values = None if vectors is None else _query_vectors(vectors, frame)
        found = cls(catalogue, users, query, item, user, times, values)
        unknown = item < 0
        if not unknown.any():
            return found
        if unknown_items == "error" or unknown.all():
            examples = pd.unique(ids[unknown])[:3].tolist()
            raise InputError(
                f"{_WHAT}: column 'item_id' has {unknown.sum()} of {len(item)} items that are not "
                f"in the catalogue, first {examples}; add the items or pass unknown_items='drop'"
            )
        return found.select(~unknown)

    @classmethod
    def from_parquet(
        cls, path: str | os.PathLike, catalogue: Catalogue, *, columns=None, **options
    ) -> SearchEvents:
        """Reads a Parquet file or a folder of them; `options` as in `from_frame`."""
        return cls.from_frame(read_table(path, "parquet", _WHAT, columns), catalogue, **options)

    def __len__(self) -> int:
        return len(self.query)

    def select(self, rows: np.ndarray) -> SearchEvents:
        """Returns the searches of a mask `[n]` bool or of rows `[m]` int, in their order."""
        optional = {
            name: None if values is None else values[rows]
            for name, values in (("timestamp", self.timestamp), ("vectors", self.vectors))
        }
        chosen = {name: getattr(self, name)[rows] for name in ("query", "item", "user")}
        return replace(self, **chosen, **optional)

    def with_vectors(self, vectors: np.ndarray) -> SearchEvents:
        """Returns the searches with vectors `[n, dims]` of their queries.

        Raises:
          InputError: another number of rows, or numbers that are not finite.
        """
        return replace(self, vectors=open_vectors(vectors, range(len(self))).values)

    def split(self, test: float = 0.2, *, seed: int = 0) -> tuple[SearchEvents, SearchEvents]:
        """Splits into training and test searches that share no item.

        So a test tells how a model finds items for which it has never seen a query.

        Args:
          test: share of the items whose searches are test searches, in (0, 1).
          seed: of the choice.

        Raises:
          InputError: a share outside (0, 1), or one part would be empty.
        """
        if not 0 < test < 1:
            raise InputError(f"{_WHAT}: test must be a share between 0 and 1. Received: {test}")
        items = np.unique(self.item)
        count = round(test * len(items))
        if not 0 < count < len(items):
            raise InputError(
                f"{_WHAT}: test={test} of {len(items)} items leaves one part empty; add searches"
            )
        held_out = np.random.default_rng(seed).choice(items, count, replace=False)
        tested = np.isin(self.item, held_out)
        return self.select(~tested), self.select(tested)


def _query_vectors(source, frame: pd.DataFrame) -> np.ndarray:
    if "query_id" not in frame:
        # A query without a known word has the vector 0, which is none in a store.
        return np.asarray(open_vectors(source, np.arange(len(frame))).values, np.float32)
    codes, ids = pd.factorize(check_ids(frame, "query_id", _WHAT))
    aligned = open_vectors(source, np.asarray(ids, object))
    lacking = ~aligned.mask[codes]
    if lacking.any():
        raise InputError(
            f"{_WHAT}: vectors: {lacking.sum()} of {len(frame)} queries have none, first "
            f"{frame['query'].iloc[int(np.argmax(lacking))]!r}; encode them, or drop the searches"
        )
    return np.asarray(aligned.values[codes], np.float32)
