"""User-item events: reading, checking, encoding and selecting them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.sparse

from tfrec_fusion.data._ratings import tell_of_ratings
from tfrec_fusion.data._times import timestamps
from tfrec_fusion.data.catalogue import Catalogue
from tfrec_fusion.data.history import History
from tfrec_fusion.data.split import Split
from tfrec_fusion.data.stray_times import plausible_times, tell_of_old_times
from tfrec_fusion.data.tables import (
    check_ids,
    check_present,
    check_values,
    drop_incomplete,
    numbers,
    read_table,
    renamed,
    require_columns,
)
from tfrec_fusion.data.user_table import UserTable
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.registry import Registry

EXAMPLES = Registry(
    "batches: examples",
    {
        "as_of": "tfrec_fusion.examples:as_of_examples",
        "autoencoder": "tfrec_fusion.examples:autoencoder_examples",
        "held_out": "tfrec_fusion.examples:held_out_examples",
        "pairs": "tfrec_fusion.examples:pair_examples",
    },
)
_NUMBERS = ("timestamp", "rating", "weight", "label")
# The user's row before `encode_users`; it tells unknown users apart to find repeated events.
_PERSON = "_person"
_log = logging.getLogger(__name__)


class Interactions:
    """Events between users and the items of a catalogue, encoded as integer rows.

    An event with a `label` of 0 or less is an impression: the item was shown but not taken.
    Impressions are rows of ranking examples, but never part of histories, targets, trends or
    popularity.

    Attributes:
      catalogue: the items.
      users: vocabulary of the user ids.
      user: `[n]` int32 rows of `users`, -1 where unknown.
      item: `[n]` int32 rows of the catalogue.
      timestamp: `[n]` float64 unix seconds, or None.
      rating, weight, label: `[n]` float32, or None.
      context: frame of all other columns, `n` rows.
      user_table: the table of users and their attributes, or None.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        users: Vocabulary,
        columns: pd.DataFrame,
        user_table: UserTable | None = None,
    ):
        self.catalogue = catalogue
        self.users = users
        self.user_table = user_table
        self._columns = columns.reset_index(drop=True)
        self._are_first = False  # whether these are already the `first_events`

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        catalogue: Catalogue,
        *,
        min_rating: float | None = None,
        unknown_items: str = "error",
        duplicates: str = "error",
        nulls: str = "error",
        columns: Mapping[str, str] | None = None,
        timestamp_unit: str | None = None,
        stray_times: str = "error",
        users: UserTable | pd.DataFrame | str | os.PathLike | None = None,
    ) -> Interactions:
        """Checks and encodes a frame of events.

        Args:
          frame: string columns `user_id` and `item_id`; optional `timestamp` (unix seconds,
            datetimes, dates or ISO 8601 texts; UTC without a zone) and numeric `rating`, `weight`
            (not negative) and `label`; every other column is context. Rows in any order.
          catalogue: the items.
          min_rating: drops events with a lower rating; needs `rating`. None keeps every event as a
            positive, whatever its rating; if the ratings are on a scale (2 to 101 different
            values), a log line warns and suggests the value at three quarters of the scale. The
            lowest rating as `min_rating` keeps every event without the warning.
          unknown_items: for events whose item is not in the catalogue: "error", or "drop" them.
          duplicates: for user-item pairs that occur twice without `timestamp`: "error", or keep
            the "first". With times they are repeated events, which are kept.
          nulls: for null or empty ids and missing or non-finite numbers, or numbers beyond float32:
            "error", or "drop" the events. A log line gives the count.
          columns: name -> the frame's column for it, e.g. `{"user_id": "userId"}`.
          timestamp_unit: of a numeric `timestamp`: "s", "ms", "us" or "ns"; None takes seconds.
            Numbers that look like another unit raise InputError.
          stray_times: for times after today, at 0 (which often means missing), or far from all
            others (see `stray_times`), which would shift the time of scoring and all ages: "error",
            "drop" the events, or "keep" them as they are.
          users: attributes of users: a `UserTable`, a frame with a column `user_id`, or the path of
            a Parquet or CSV file of one. Users of the events that it lacks have no attributes.

        Raises:
          InputError: an option or a column is invalid; names the column, the count and the first
            examples.
        """
        for name, value, allowed in (
            ("unknown_items", unknown_items, ("error", "drop")),
            ("duplicates", duplicates, ("error", "first")),
            ("nulls", nulls, ("error", "drop")),
            ("stray_times", stray_times, ("error", "drop", "keep")),
        ):
            if value not in allowed:
                raise InputError(
                    f"interactions: {name} must be one of {allowed}. Received: {value!r}"
                )
        frame = renamed(frame, columns, "interactions")
        require_columns(frame, ["user_id", "item_id"], "interactions")
        for name in ("user", "item", _PERSON):
            if name in frame:
                raise InputError(
                    f"interactions: a context column may not have the name {name!r}, which is "
                    f"reserved; rename it. Columns received: {list(frame.columns)}"
                )
        found = {
            name: timestamps(frame, name, "interactions", timestamp_unit)
            if name == "timestamp"
            else numbers(frame, name, "interactions")
            for name in _NUMBERS
            if name in frame
        }
        if nulls == "drop":
            frame, found = drop_incomplete(frame, found)
        remedy = ", or pass nulls='drop'"
        user_ids = check_ids(frame, "user_id", "interactions", remedy)
        item_ids = check_ids(frame, "item_id", "interactions", remedy)
        encoded = pd.DataFrame({"item": catalogue.vocabulary.rows(item_ids)})
        for name, values in found.items():
            check_present(values, name, "interactions", remedy)
            encoded[name] = values
        _check_weights(encoded)
        keep = np.ones(len(frame), bool)
        if "timestamp" in encoded:
            keep &= plausible_times(encoded["timestamp"].to_numpy(), stray_times)
            tell_of_old_times(encoded["timestamp"].to_numpy()[keep])
        context = [c for c in frame.columns if c not in ("user_id", "item_id", *_NUMBERS)]
        for name in context:
            check_values(frame, name, "interactions")
        encoded[context] = frame[context].reset_index(drop=True)
        unknown = encoded["item"].to_numpy() < 0
        if unknown.any():
            if unknown_items == "error":
                examples = pd.unique(item_ids[unknown])[:3].tolist()
                raise InputError(
                    f"interactions: column 'item_id' has {unknown.sum()} events of items that are "
                    f"not in the catalogue, first {examples}; add the items or pass "
                    "unknown_items='drop'"
                )
            _log.warning(
                "interactions: dropped %d events of items that are not in the catalogue",
                unknown.sum(),
            )
            keep &= ~unknown
        if min_rating is not None:
            if "rating" not in encoded:
                raise InputError(f"interactions: min_rating={min_rating} needs a column 'rating'")
            keep &= encoded["rating"].to_numpy() >= min_rating
        elif "rating" in encoded:
            tell_of_ratings(encoded["rating"].to_numpy()[keep])
        if not keep.any():
            raise InputError(
                f"interactions: no events are left of {len(frame)} after unknown_items="
                f"{unknown_items!r}, stray_times={stray_times!r} and min_rating={min_rating}"
            )
        encoded, user_ids = encoded[keep].reset_index(drop=True), user_ids[keep]
        codes, ids = pd.factorize(user_ids)
        encoded.insert(0, "user", codes.astype(np.int32))
        if "timestamp" not in encoded:
            taken = np.ones(len(encoded), bool)
            if "label" in encoded:
                taken = (encoded["label"] > 0).to_numpy()
            repeated = np.zeros(len(encoded), bool)
            repeated[taken] = encoded.loc[taken, ["user", "item"]].duplicated()
            if repeated.any():
                if duplicates == "error":
                    row = int(np.argmax(repeated))
                    raise InputError(
                        f"interactions: {repeated.sum()} repeated user-item pairs, first "
                        f"({user_ids[row]!r}, {catalogue.vocabulary.ids[encoded['item'][row]]!r}); "
                        "pass the column of their times as columns={'timestamp': 'COLUMN'} "
                        "(--columns timestamp=COLUMN), or pass duplicates='first' (in a run's "
                        f"config data.duplicates). Columns received: {list(frame.columns)}"
                    )
                _log.warning(
                    "interactions: kept the first of %d repeated user-item pairs", repeated.sum()
                )
                encoded = encoded[~repeated]
        return cls(catalogue, Vocabulary(ids), encoded, UserTable.of(users))

    @classmethod
    def from_parquet(cls, path: str | os.PathLike, catalogue: Catalogue, **options) -> Interactions:
        """Reads a Parquet file or a folder of them; `options` as in `from_frame`."""
        return cls._from_table(path, "parquet", catalogue, options)

    @classmethod
    def from_csv(cls, path: str | os.PathLike, catalogue: Catalogue, **options) -> Interactions:
        """Reads a CSV file; `options` as in `from_frame`."""
        return cls._from_table(path, "csv", catalogue, options)

    @classmethod
    def from_file(cls, path: str | os.PathLike, catalogue: Catalogue, **options) -> Interactions:
        """Reads a path that ends in .csv or .csv.gz as CSV, any other as Parquet."""
        return cls._from_table(path, None, catalogue, options)

    @classmethod
    def _from_table(cls, path, kind: str | None, catalogue: Catalogue, options: dict):
        columns = options.pop("columns", None)
        return cls.from_frame(read_table(path, kind, "interactions", columns), catalogue, **options)

    def __len__(self) -> int:
        return len(self._columns)

    def _column(self, name: str, dtype) -> np.ndarray | None:
        return self._columns[name].to_numpy(dtype) if name in self._columns else None

    @property
    def user(self) -> np.ndarray:
        return self._columns["user"].to_numpy(np.int32)

    @property
    def item(self) -> np.ndarray:
        return self._columns["item"].to_numpy(np.int32)

    @property
    def timestamp(self) -> np.ndarray | None:
        return self._column("timestamp", np.float64)

    @property
    def event_times(self) -> np.ndarray:
        """`timestamp`, or InputError if the events have no times."""
        times = self.timestamp
        if times is None:
            raise InputError(
                "interactions: this needs a column 'timestamp'; the events have no times"
            )
        return times

    @property
    def rating(self) -> np.ndarray | None:
        return self._column("rating", np.float32)

    @property
    def weight(self) -> np.ndarray | None:
        return self._column("weight", np.float32)

    @property
    def label(self) -> np.ndarray | None:
        return self._column("label", np.float32)

    @property
    def context(self) -> pd.DataFrame:
        own = ["user", "item", _PERSON, *_NUMBERS]
        return self._columns.drop(columns=own, errors="ignore")

    def _with(self, columns: pd.DataFrame, users: Vocabulary | None = None) -> Interactions:
        return Interactions(self.catalogue, users or self.users, columns, self.user_table)

    def select(self, mask: np.ndarray) -> Interactions:
        """Selects events by a boolean mask or an index; the vocabularies stay the same."""
        if mask.dtype != bool:
            return self._with(self._columns.iloc[mask])
        chosen = self._with(self._columns[mask])
        chosen._are_first = self._are_first
        return chosen

    def encode_users(self, users: Vocabulary) -> Interactions:
        """Encodes the users with another vocabulary; users that it lacks get row -1."""
        rows = np.append(users.rows(self.users.ids), np.int32(-1))
        person = {_PERSON: self._person} if (rows[:-1] < 0).any() else {}
        encoded = self._with(self._columns.assign(user=rows[self.user], **person), users)
        encoded._are_first = self._are_first
        return encoded

    def with_table_users(self) -> Interactions:
        """Appends the users of the users' table who have no events to the vocabulary."""
        if self.user_table is None:
            return self
        return self.encode_users(self.users.grow(self.user_table.vocabulary.ids))

    @property
    def _person(self) -> np.ndarray:
        return self._columns[_PERSON if _PERSON in self._columns else "user"].to_numpy(np.int32)

    @property
    def is_impression(self) -> np.ndarray:
        """`[n]` bool: True for events with a `label` of 0 or less."""
        label = self.label
        return np.zeros(len(self), bool) if label is None else label <= 0

    def positives(self) -> Interactions:
        """Returns the events that are not impressions, without `label`."""
        if self.label is None:
            return self
        return self._with(self._columns[~self.is_impression].drop(columns="label"))

    def first_events(self, impressions: bool = False) -> Interactions:
        """Returns the first positive event of each user-item pair, in time order.

        Models see only these events: training, evaluation, baselines and exports apply this method
        to their input and take histories, targets, trends and popularity from the result. Events
        at the same time keep their order, as do all events without times.

        Args:
          impressions: whether to keep all impressions too, and the column `label`.
        """
        if self._are_first:
            return self
        events = self if impressions else self.positives()
        columns = events._columns
        if "timestamp" in columns:
            columns = columns.sort_values("timestamp", kind="stable")
        person = _PERSON if _PERSON in columns else "user"
        taken = ~events._with(columns).is_impression
        pairs = columns.loc[taken, [person, "item"]]
        repeated = pairs.duplicated().to_numpy() & (pairs[person] >= 0).to_numpy()
        keep = np.ones(len(columns), bool)
        keep[taken] = ~repeated
        first = self._with(columns[keep])
        first._are_first = first.label is None
        return first

    def item_counts(self) -> np.ndarray:
        """Counts the `first_events` of each item: `[n_items]` int64."""
        return np.bincount(self.first_events().item, minlength=len(self.catalogue))

    def matrix(self) -> scipy.sparse.csr_matrix:
        """Sparse user-item matrix `[n_users, n_items]` float32: 1 for each positive pair."""
        events = self.positives()
        known = events.user >= 0
        shape = (len(self.users), len(self.catalogue))
        pairs = (events.user[known], events.item[known])
        matrix = scipy.sparse.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape)
        matrix.data[:] = 1.0
        return matrix

    def histories(self) -> History:
        """Returns each user's distinct items in the order of their first events."""
        first = self.first_events()
        first = first.select(first.user >= 0)
        order = np.argsort(first.user, kind="stable")
        counts = np.bincount(first.user, minlength=len(self.users))
        times = None if first.timestamp is None else first.timestamp[order]
        return History(np.concatenate([[0], np.cumsum(counts)]), first.item[order], times)

    def split(self, kind: str = "temporal", *, test: float | None = None, seed: int = 0):
        """Splits into training and test events; see `Split.of`."""
        return Split.of(self, kind, test=test, seed=seed)

    def batches(self, batch_size: int = 512, *, examples: str | None = None, **options):
        """Returns a `tf.data.Dataset` of batches of training examples.

        Args:
          batch_size: users per batch; for "pairs", events per batch.
          examples: "as_of" (predict what the user took after a cut from the history before it; the
            default with times), "autoencoder" (predict a user's items from themselves; the default
            without times), "held_out" (predict some of a user's items from the others) or "pairs"
            (one row per event).
          options: of `as_of_examples`, `autoencoder_examples`, `held_out_examples` or
            `pair_examples`. For validation each takes `known`, the earlier events:
            `split.test.batches(512, known=split.train)`.

        Raises:
          InputError: an unknown kind of example, or an option out of range.
        """
        kind = examples or ("autoencoder" if self.timestamp is None else "as_of")
        return EXAMPLES.resolve(kind)(self, batch_size, **options)

    def fingerprint(self) -> str:
        """SHA-256 over users, items and times."""
        digest = hashlib.sha256(self.users.fingerprint.encode())
        digest.update(self.catalogue.vocabulary.fingerprint.encode())
        for values in (self.user, self.item, self.timestamp):
            if values is not None:
                digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def _check_weights(columns: pd.DataFrame) -> None:
    if "weight" in columns and (columns["weight"] < 0).any():
        negative = (columns["weight"] < 0).to_numpy()
        raise InputError(
            f"interactions: column 'weight' has {negative.sum()} negative values, first "
            f"{columns['weight'][negative].iloc[0]} at row {int(np.argmax(negative))}; correct them"
        )
