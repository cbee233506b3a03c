"""User-item events: reading, checking, encoding and selecting them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse

from tfrec_fusion.data.catalogue import Catalogue
from tfrec_fusion.data.event_table import (
    LABEL_OF,
    PERSON,
    POSITION,
    REPEATS,
    encoded_events,
    number_columns,
)
from tfrec_fusion.data.history import History
from tfrec_fusion.data.split import Split
from tfrec_fusion.data.table_vectors import ROW_OF, arrays_of, event_vectors
from tfrec_fusion.data.tables import read_table, renamed
from tfrec_fusion.data.user_table import UserTable
from tfrec_fusion.data.vocabulary import Vocabulary
from tfrec_fusion.embeddings import AlignedVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.registry import Registry

EXAMPLES = Registry(
    "batches: examples",
    {
        "as_of": "tfrec_fusion.examples:as_of_examples",
        "autoencoder": "tfrec_fusion.examples:autoencoder_examples",
        "held_out": "tfrec_fusion.examples:held_out_examples",
        "pairs": "tfrec_fusion.examples:pair_examples",
        "sequence": "tfrec_fusion.examples:sequence_examples",
    },
)


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
      position: `[n]` int64, the order of each user's events where there are no times, or None.
      rating, weight, label: `[n]` float32, or None.
      labels: further labels, name -> `[n]` float32, NaN where missing.
      context: frame of all other columns, `n` rows.
      user_table: the table of users and their attributes, or None.
      repeats: "first" if only the first positive event of each user-item pair counts, "all" if
        every one does, as in groceries or music.
      vectors: name -> vectors of events, e.g. of the texts of reviews.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        users: Vocabulary,
        columns: pd.DataFrame,
        user_table: UserTable | None = None,
        repeats: str = "first",
        vectors: Mapping[str, AlignedVectors] | None = None,
    ):
        self.catalogue = catalogue
        self.users = users
        self.user_table = user_table
        self.repeats = repeats
        self.vectors = dict(vectors or {})
        self._columns = columns.reset_index(drop=True)
        self._are_first = False  # whether these are already the `first_events`

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        catalogue: Catalogue,
        *,
        min_rating: float | None = None,
        low_ratings: str = "drop",
        unknown_items: str = "error",
        duplicates: str = "error",
        nulls: str = "error",
        columns: Mapping[str, str] | None = None,
        timestamp_unit: str | None = None,
        stray_times: str = "error",
        users: UserTable | pd.DataFrame | str | os.PathLike | None = None,
        repeats: str = "first",
        event_weights: Mapping[str, float] | None = None,
        vectors: Mapping[str, object] | None = None,
        labels: Sequence[str] = (),
    ) -> Interactions:
        """Checks and encodes a frame of events.

        Args:
          frame: string columns `user_id` and `item_id`; optional `timestamp` (unix seconds,
            datetimes, dates or ISO 8601 texts; UTC without a zone) and numeric `rating`, `weight`
            (not negative) and `label`; every other column is context. Rows in any order. Without
            `timestamp`, an optional `position` of whole numbers orders each user's events; beside
            it, `position` is context, and a log line says so.
          catalogue: the items.
          min_rating: drops events with a lower rating; needs `rating`. None keeps every event as a
            positive, whatever its rating; if the ratings are on a scale (2 to 101 different
            values), a log line warns and suggests the value at three quarters of the scale. The
            lowest rating as `min_rating` keeps every event without the warning.
          low_ratings: what events below `min_rating` are: "drop" leaves them out; "dislike" keeps
            them as impressions, with a `label` of 0, which rankers and `Spectral` learn from.
          unknown_items: for events whose item is not in the catalogue: "error", or "drop" them.
          duplicates: for user-item pairs that occur twice without `timestamp` or `position`:
            "error", or keep the "first". With an order or `repeats="all"` they are repeated events,
            which are kept.
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
          repeats: "first" counts the first positive event of each user-item pair, and what a user
            had is not recommended again. "all" counts every one: histories hold them all, and items
            of the history are trained, evaluated and recommended as any other.
          event_weights: type of event -> weight, for a column `event` with types such as "view",
            "cart" and "buy"; multiplies `weight`. Events of weight 0 are part of histories, but
            never targets, neither in training nor in evaluations; this needs `repeats="all"`.
          vectors: name -> vectors of events, for the feature `Vectors`: a `VectorStore` or its
            folder, whose ids are those of the frame's column `<name>_id`, e.g. `review_id` for
            "review"; or a `.npy` file or an array `[n, dim]` in the frame's order. Events without
            an id, or with one that the store lacks, have no vector.
          labels: names of numeric columns that are labels of a ranker's heads, e.g. "buy" or
            "spend", missing where unknown. They are no context, so no feature can read them;
            `rating` and `weight` keep their meaning besides.

        Raises:
          InputError: an option or a column is invalid; names the column, the count and the first
            examples.
        """
        frame = renamed(frame, columns, "interactions")
        opened, frame = event_vectors(vectors, frame)
        encoded, ids = encoded_events(
            frame,
            catalogue,
            min_rating=min_rating,
            low_ratings=low_ratings,
            unknown_items=unknown_items,
            duplicates=duplicates,
            nulls=nulls,
            timestamp_unit=timestamp_unit,
            stray_times=stray_times,
            repeats=repeats,
            event_weights=event_weights,
            labels=labels,
        )
        return cls(catalogue, Vocabulary(ids), encoded, UserTable.of(users), repeats, opened)

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
    def position(self) -> np.ndarray | None:
        return None if "timestamp" in self._columns else self._column(POSITION, np.int64)

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
    def labels(self) -> dict[str, np.ndarray]:
        """The further labels: name -> `[n]` float32, NaN where missing."""
        names = [name for name in self._columns if str(name).startswith(LABEL_OF)]
        return {
            name.removeprefix(LABEL_OF): self._columns[name].to_numpy(np.float32) for name in names
        }

    @property
    def context(self) -> pd.DataFrame:
        hidden = [ROW_OF + name for name in self.vectors]
        hidden += [LABEL_OF + name for name in self.labels]
        own = ["user", "item", PERSON, *number_columns(self._columns), *hidden]
        return self._columns.drop(columns=own, errors="ignore")

    def vectors_of(self, name: str) -> np.ndarray:
        """Returns the vectors of the events as `[n]` objects: arrays `[dim]`, None for missing."""
        return arrays_of(self.vectors[name], self._columns[ROW_OF + name].to_numpy(np.int32))

    def _with(self, columns: pd.DataFrame, users: Vocabulary | None = None) -> Interactions:
        users, table = users or self.users, self.user_table
        return Interactions(self.catalogue, users, columns, table, self.repeats, self.vectors)

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
        person = {PERSON: self._person} if (rows[:-1] < 0).any() else {}
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
        return self._columns[PERSON if PERSON in self._columns else "user"].to_numpy(np.int32)

    @property
    def is_impression(self) -> np.ndarray:
        """`[n]` bool: True for events with a `label` of 0 or less."""
        label = self.label
        return np.zeros(len(self), bool) if label is None else label <= 0

    @property
    def is_target(self) -> np.ndarray:
        """`[n]` bool: True for events to predict: no impressions, with a `weight` above 0."""
        weight = self.weight
        return ~self.is_impression if weight is None else ~self.is_impression & (weight > 0)

    def positives(self) -> Interactions:
        """Returns the events that are not impressions, without `label`."""
        return self if self.label is None else self.select(~self.is_impression).without_labels()

    def without_labels(self) -> Interactions:
        """Returns the same events without `label`, so that impressions count as events."""
        return self._with(self._columns.drop(columns="label", errors="ignore"))

    def target_events(self) -> Interactions:
        """Returns the positive events with a `weight` above 0: those that a model is to predict."""
        events = self.positives()
        return events if events.is_target.all() else events.select(events.is_target)

    def counted_events(self, impressions: bool = False) -> Interactions:
        """Returns the positive events that count, by time or else by position; see `repeats`.

        Models see only these events: training, evaluation, baselines and exports apply this method
        to their input and take histories, targets, trends and popularity from the result. Events
        at the same time keep their order, as do all events without times and positions.

        Args:
          impressions: whether to keep all impressions too, and the column `label`.
        """
        if self.repeats == "first":
            return self.first_events(impressions)
        events = self if impressions else self.positives()
        return events._with(events._in_order())

    def first_events(self, impressions: bool = False) -> Interactions:
        """Returns the first positive event of each user-item pair, in the same order.

        Args:
          impressions: as in `counted_events`.
        """
        if self._are_first:
            return self
        events = self if impressions else self.positives()
        columns = events._in_order()
        person = PERSON if PERSON in columns else "user"
        taken = ~events._with(columns).is_impression
        pairs = columns.loc[taken, [person, "item"]]
        repeated = pairs.duplicated().to_numpy() & (pairs[person] >= 0).to_numpy()
        keep = np.ones(len(columns), bool)
        keep[taken] = ~repeated
        first = self._with(columns[keep])
        first._are_first = first.label is None
        return first

    def with_repeats(self, repeats: str) -> Interactions:
        """Returns the same events with another `repeats`.

        With "first", events of weight 0 are left out: a view before a purchase would count in its
        place.
        """
        if repeats not in REPEATS:
            raise InputError(
                f"interactions: repeats must be one of {REPEATS}. Received: {repeats!r}"
            )
        if repeats == self.repeats:
            return self
        columns = self._columns
        if repeats == "first":
            columns = columns[self.is_target | self.is_impression]
        table = self.user_table
        return Interactions(self.catalogue, self.users, columns, table, repeats, self.vectors)

    def _in_order(self) -> pd.DataFrame:
        by = next((name for name in ("timestamp", POSITION) if name in self._columns), None)
        return self._columns if by is None else self._columns.sort_values(by, kind="stable")

    def item_counts(self) -> np.ndarray:
        """Counts the `counted_events` of each item: `[n_items]` int64."""
        return np.bincount(self.counted_events().item, minlength=len(self.catalogue))

    def matrix(self) -> scipy.sparse.csr_matrix:
        """Sparse user-item matrix `[n_users, n_items]` float32: 1 for each positive pair."""
        events = self.positives()
        known = events.user >= 0
        shape = (len(self.users), len(self.catalogue))
        pairs = (events.user[known], events.item[known])
        matrix = scipy.sparse.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape)
        matrix.data[:] = 1.0
        return matrix

    def disliked(self) -> scipy.sparse.csr_matrix:
        """Sparse user-item matrix `[n_users, n_items]` float32: 1 for pairs with impressions alone.

        Impressions, e.g. low ratings, are events with a `label` of 0 or less. A pair that also has
        a positive event is none.
        """
        shown = self.select(self.is_impression).without_labels()
        found = (shown.matrix() > self.matrix()).astype(np.float32)
        return scipy.sparse.csr_matrix(found)

    def histories(self) -> History:
        """Returns the items of each user's `counted_events`, in their order."""
        events = self.counted_events()
        events = events.select(events.user >= 0)
        order = np.argsort(events.user, kind="stable")
        counts = np.bincount(events.user, minlength=len(self.users))
        times = None if events.timestamp is None else events.timestamp[order]
        return History(np.concatenate([[0], np.cumsum(counts)]), events.item[order], times)

    def history_weights(self) -> np.ndarray | None:
        """Returns the weights `[n_events]` float32 of the events of `histories`, or None."""
        if self.weight is None:
            return None
        events = self.counted_events()
        events = events.select(events.user >= 0)
        return events._columns["weight"].to_numpy(np.float32)[
            np.argsort(events.user, kind="stable")
        ]

    def split(
        self,
        kind: str = "temporal",
        *,
        test: float | None = None,
        seed: int = 0,
        keep_valid: bool = True,
    ):
        """Splits into training and test events; see `Split.of`."""
        return Split.of(self, kind, test=test, seed=seed, keep_valid=keep_valid)

    def batches(self, batch_size: int = 512, *, examples: str | None = None, **options):
        """Returns a `tf.data.Dataset` of batches of training examples.

        Args:
          batch_size: users per batch; for "pairs", events per batch.
          examples: "as_of" (predict what the user took after a cut from the history before it; the
            default with times), "autoencoder" (predict a user's items from themselves; the default
            without times), "held_out" (predict some of a user's items from the others), "sequence"
            (each event of a history predicts the next one) or "pairs" (one row per event).
          options: of `as_of_examples`, `autoencoder_examples`, `held_out_examples`,
            `sequence_examples` or `pair_examples`. For validation each takes `known`, the earlier
            events: `split.test.batches(512, known=split.train)`.

        Raises:
          InputError: an unknown kind of example, or an option out of range.
        """
        kind = examples or ("autoencoder" if self.timestamp is None else "as_of")
        if self.repeats == "all" and self.timestamp is None and kind != "sequence":
            raise InputError(
                "batches: repeated events are trained with a column 'timestamp', or with "
                "examples='sequence' and a column 'position'; add one, or pass "
                "events.with_repeats('first') (in a run's config data.repeats: first). "
                f"Received: repeats='all' without times and examples={kind!r}"
            )
        return EXAMPLES.resolve(kind)(self, batch_size, **options)

    def fingerprint(self) -> str:
        """SHA-256 over users, items and times or positions."""
        digest = hashlib.sha256(self.users.fingerprint.encode())
        digest.update(self.catalogue.vocabulary.fingerprint.encode())
        for values in (self.user, self.item, self.timestamp, self.position):
            if values is not None:
                digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()
