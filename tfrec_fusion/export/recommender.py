"""Recommends from an export that is loaded into this process."""

from __future__ import annotations

import logging
import numbers
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.batch import BatchReport, write_recommendations
from tfrec_fusion.export.exporter import TITLES
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.request_times import TIME_KINDS, RequestTimes
from tfrec_fusion.export.saving import plain_function
from tfrec_fusion.export.signatures.recommend import REQUEST_INPUTS
from tfrec_fusion.export.signatures.tensors import HISTORY_AGE, QUERY, QUERY_VECTOR
from tfrec_fusion.export.versions import latest_version
from tfrec_fusion.signature import NOTHING, Signature
from tfrec_fusion.texts import check_unicode
from tfrec_fusion.times import checked_ages

_log = logging.getLogger(__name__)


class Recommender:
    """Recommends from the highest version of an export, without TF Serving.

    Args:
      path: the folder given to `export`, or one version's folder.

    Attributes:
      path: the version's folder.

    Raises:
      InputError: no version there, or it is not a recommender's export.

    Example:
      >>> shop = Recommender("saved_models/shop")
      >>> best = shop.recommend("u17", exclude=["i3"], k=5)
      >>> len([shop.titles[item_id] for item_id, _ in best])
      5
    """

    def __init__(self, path: str | os.PathLike):
        self.path = latest_version(path)
        try:
            loaded = tf.saved_model.load(str(self.path))
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"export: {self.path} does not load as a SavedModel: {reason}"
            ) from None
        if "classify" in loaded.signatures:
            raise InputError(
                "recommend: an exported ranker scores the items that a request names, with its "
                "signature 'score'; recommend from its run, or from a two-tower's export. "
                f"Received: {self.path}"
            )
        if "recommend" not in loaded.signatures:
            raise InputError(
                f"export: {self.path} has no signature 'recommend', so it was not written by "
                f"export. Its signatures: {sorted(loaded.signatures)}"
            )
        self._loaded = loaded
        self._recommend = plain_function(loaded, "recommend")

    def recommend(
        self,
        user_id: str | None = None,
        history: Iterable[str] = (),
        exclude: Iterable[str] = (),
        k: int = 10,
        *,
        history_ages: Iterable[float] | None = None,
        include: Iterable[str] | None = None,
        exclude_seen: bool = False,
        filters: Mapping[str, object] | None = None,
        features: Mapping[str, object] | None = None,
    ) -> list[tuple[str, float]]:
        """The best items for one user as (item id, score), best first; fewer if fewer are left.

        Unknown ids are ignored, and a log line names them; see `unknown`.

        Args:
          user_id: an unknown id, or None, is a new user.
          history: item ids, latest last; if not empty, replaces the stored history.
          exclude: item ids not to return; items of the history are never returned.
          k: number of items, at least 1.
          history_ages: how many days ago the user took each item of `history`, for models that
            read ages; None is 0 for all, i.e. now.
          include: the only item ids that may be returned; None allows all.
          exclude_seen: whether to exclude the stored history too if `history` is given.
          filters: filter input of the export -> a text or list of texts, a number, or a bool,
            e.g. `{"category": ["cheese", "wine"], "price_max": 20, "in_stock": True}`.
          features: feature input of the export -> a text, a list of texts or a number, e.g.
            `{"user_country": "de", "user_age": 31}`; they replace the stored features of a known
            user and describe an unknown one.

        Raises:
          InputError: ids that are not strings, k below 1, ages that do not fit the history or that
            the model does not read, a filter or a feature that the export lacks, or a time in
            another unit than seconds.
        """
        _check_k(k)
        history, exclude, include = map(_listed, (history, exclude, include))
        self._tell_unknown(user_id, history, exclude, include or ())
        past = _ids(history, "history")
        answer = self._recommend(
            user_id=tf.constant(_ids(["" if user_id is None else user_id], "user_id")),
            history=tf.constant([past], tf.string),
            **self._ages(history_ages, len(past)),
            **self._shared(exclude, k, include, exclude_seen, filters, features),
        )
        return _pairs(answer["item_id"], answer["score"])

    def recommend_all(
        self,
        out: str | os.PathLike,
        users: str | os.PathLike | Iterable[str] = "all",
        k: int = 10,
        *,
        exclude: Iterable[str] = (),
        include: Iterable[str] | None = None,
        exclude_seen: bool = False,
        filters: Mapping[str, object] | None = None,
        features: Mapping[str, object] | None = None,
        new_users: str = "keep",
        progress: bool = True,
    ) -> BatchReport:
        """Writes the best items of many users to a Parquet file, each user's as `recommend`'s.

        The file has a row for each recommended item: `user_id`, `rank` (int32, from 1), `item_id`,
        `score` (float32) and `known` (bool, whether the export has the user), in the order of the
        users. It appears when it is complete. Until then its parts are in the folder `.NAME.parts`
        beside it, and the same call goes on after them, e.g. if the process was killed; if the
        export, the users or an option has changed since, it starts anew and a log line says so.
        Memory does not grow with the number of rows.

        Args:
          out: path of the file, e.g. "recs.parquet"; an old file is replaced.
          users: "all" for all users of the export; a path of a Parquet or CSV file with a column
            `user_id`, or of a `.txt` file with one id a line; or user ids. Repeated ids count once.
          k: number of items of each user, at least 1; fewer if fewer are left.
          exclude, include, exclude_seen, filters, features: as in `recommend`, for all users.
          new_users: whether users that the export does not know are answered as new users ("keep")
            or left out ("drop"); a log line counts them.
          progress: whether to show a bar on standard error, or without a terminal a line every half
            minute.

        Returns:
          The numbers of users and rows, and the seconds taken.

        Raises:
          InputError: as in `recommend`; or no user is left, ids are missing or no strings, a file
            is not readable, `out` is a folder, or another process writes it.
          OSError: the disk is full; finished parts are kept.

        Example:
          >>> report = Recommender("saved_models/shop").recommend_all("recs.parquet", k=5)
          >>> report.rows == 5 * report.users
          True
        """
        _check_k(k)
        exclude, include = _listed(exclude), _listed(include)
        self._tell_unknown(None, (), exclude, include or ())
        shared = self._shared(exclude, k, include, exclude_seen, filters, features)

        def answers(ids):
            given = shared | self._ages(None, 0)
            given = {name: tf.repeat(value, len(ids), 0) for name, value in given.items()}
            user_id, history = tf.constant(ids), tf.fill([len(ids), 0], "")
            answer = self._recommend(user_id=user_id, history=history, **given)
            return answer["item_id"].numpy(), answer["score"].numpy()

        return write_recommendations(
            answers,
            lambda ids: self._rows(ids, self._loaded.user_table) >= 0,
            self.path,
            len(self.titles),
            users,
            out,
            {name: repr(value.numpy().tolist()) for name, value in shared.items()},
            new_users,
            progress,
        )

    def similar(
        self, item_id: str, k: int = 10, *, filters: Mapping[str, object] | None = None
    ) -> list[tuple[str, float]]:
        """The items most similar to an item ("more like this") as (item id, score), best first.

        Args:
          item_id: an unknown id has no similar items, and a log line names it.
          k: number of items, at least 1; fewer if fewer are left.
          filters: as in `recommend`.

        Raises:
          InputError: as in `recommend`, or the export has no signature `similar`.

        Example:
          >>> len(Recommender("saved_models/shop").similar("i3", k=5))
          5
        """
        return self._of_item("similar", "similar_id", item_id, k, len(self.titles), filters or {})

    def audience(self, item_id: str, k: int = 10) -> list[tuple[str, float]]:
        """The users to whom an item should be shown as (user id, score), best first.

        They are the stored users with the best scores, as of the export, without those who had the
        item.

        Args:
          item_id: an unknown id has no users, and a log line names it.
          k: number of users, at least 1; fewer if fewer are left.

        Raises:
          InputError: as in `recommend`, or the export has no signature `audience`.

        Example:
          >>> shop = Recommender("saved_models/shop")
          >>> best = shop.audience("i3")  # of an export with audience=True  # doctest: +SKIP
        """
        return self._of_item("audience", "user_id", item_id, k, 2**31 - 1, {})

    def search(
        self,
        query: str = "",
        k: int = 10,
        *,
        user_id: str | None = None,
        vector: Iterable[float] | None = None,
        filters: Mapping[str, object] | None = None,
    ) -> list[tuple[str, float]]:
        """The items found for a query as (item id, score), best first; fewer if fewer are left.

        Args:
          query: a text; "" for none.
          k: number of items, at least 1.
          user_id: the user who searches, for an order to their taste; None for nobody.
          vector: the query's vector, in place of that of its text.
          filters: as in `recommend`.

        Raises:
          InputError: as in `recommend`, the export has no signature `search` or cannot search by
            texts or by vectors, or a vector of another length.

        Example:
          >>> shop = Recommender("saved_models/shop")
          >>> best = shop.search("red thing")  # of an export with search=True  # doctest: +SKIP
        """
        _check_k(k)
        if "search" not in self._loaded.signatures:
            raise InputError(
                "recommend: the export has no signature 'search'; export with search=True "
                f"(--search). Its signatures: {sorted(self._loaded.signatures)}"
            )
        function = plain_function(self._loaded, "search")
        specs = function.structured_input_signature[1]
        for name, given in ((QUERY.name, bool(query)), (QUERY_VECTOR.name, vector is not None)):
            if given and name not in specs:
                raise InputError(
                    f"recommend: the export's search takes no {name!r}. Its inputs: {sorted(specs)}"
                )
        texts, numbers = _ids([query], "query"), [] if vector is None else [*vector]
        dims = self.card.get("query_dims", 0)
        if numbers and len(numbers) != dims:
            raise InputError(
                f"recommend: vector must have {dims} numbers. Received: {len(numbers)}"
            )
        if numbers and not np.isfinite(np.asarray(numbers, float)).all():
            raise InputError(f"recommend: vector must be finite numbers. Received: {numbers}")
        asked = {
            QUERY.name: tf.constant(texts),
            QUERY_VECTOR.name: tf.constant([numbers], tf.float32, [1, len(numbers)]),
            "user_id": tf.constant(_ids(["" if user_id is None else user_id], "user_id")),
            "k": tf.constant([min(int(k), len(self.titles))]),
            **self._others(filters or {}, {}),
        }
        answer = function(**{name: value for name, value in asked.items() if name in specs})
        return _pairs(answer["item_id"], answer["score"])

    def _of_item(
        self, signature: str, output: str, item_id: str, k: int, most: int, filters: Mapping
    ) -> list[tuple[str, float]]:
        _check_k(k)
        if signature not in self._loaded.signatures:
            raise InputError(
                f"recommend: the export has no signature {signature!r}; export with similar='auto' "
                "or the name of vectors (--similar), or audience=True (--audience), if the model "
                f"can. Its signatures: {sorted(self._loaded.signatures)}"
            )
        asked = _ids([item_id], "item_id")
        if (self._rows(asked, self._loaded.item_table) < 0).all():
            _log.warning("recommend: the export has no item %r", item_id)
        given = self._others(filters, {}) if signature == "similar" else {}
        answer = plain_function(self._loaded, signature)(
            item_id=tf.constant(asked),
            k=tf.constant([min(int(k), most)]),
            **{name: value for name, value in given.items() if name in self.filters},
        )
        return _pairs(answer[output], answer["score"])

    def unknown(
        self,
        user_id: str | None = None,
        history: Iterable[str] = (),
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
    ) -> dict[str, list[str]]:
        """Argument -> its ids that the export does not know; only arguments with such ids.

        Ids must match exactly: "P1 " is not "P1".
        """
        asked = {
            "user_id": [] if user_id is None else [user_id],
            "history": history,
            "exclude": exclude,
            "include": include,
        }
        found = {}
        for name, ids in asked.items():
            table = self._loaded.user_table if name == "user_id" else self._loaded.item_table
            ids = ids if isinstance(ids, str) else list(ids)
            rows = self._rows(_ids(ids, name), table)
            lacking = [own for own, row in zip(ids, rows, strict=True) if row < 0 and own]
            if lacking:
                found[name] = lacking
        return found

    @cached_property
    def titles(self) -> pd.Series:
        """Titles by item id, in catalogue order."""
        return self._read(TITLES, pd.read_parquet).set_index("item_id")["title"]

    @cached_property
    def card(self) -> dict:
        """The version's `model_card.json`."""
        return self._read(CARD, lambda path: read_json(path, "card"))

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that give features."""
        return tuple(self.card.get("features", ()))

    @cached_property
    def filters(self) -> dict[str, str]:
        """Input -> dtype ("string", "float32" or "bool") of the inputs that filter."""
        specs = self._recommend.structured_input_signature[1]
        taken = {*(tensor.name for tensor in REQUEST_INPUTS), *self.features}
        return {name: spec.dtype.name for name, spec in specs.items() if name not in taken}

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Input -> kind, see `signature.Tensor`."""
        described = Signature.from_card(self.card).get("recommend")
        return {} if described is None else described.kinds

    @cached_property
    def _times(self) -> RequestTimes:
        return RequestTimes.of_card(self.card)

    def _rows(self, ids, table) -> np.ndarray:
        """Rows `[n]` of ids in a table of the export, -1 for unknown ones."""
        rows = tf.raw_ops.LookupTableFindV2(
            table_handle=table.table.resource_handle,
            keys=tf.constant(ids, tf.string),
            default_value=tf.constant(-1, tf.int64),
        )
        return rows.numpy()

    def _tell_unknown(self, *asked) -> None:
        lacking = self.unknown(*asked)
        if lacking:
            _log.warning("recommend: ignored unknown ids: %s", lacking)

    def _shared(self, exclude, k, include, exclude_seen, filters, features) -> dict[str, tf.Tensor]:
        """The inputs of one request, without the user and the history."""
        return {
            "exclude": tf.constant([_ids(exclude, "exclude")], tf.string),
            "include": tf.constant([_choices(include, "include")], tf.string),
            "exclude_seen": tf.constant([bool(exclude_seen)]),
            "k": tf.constant([min(int(k), len(self.titles))]),
            **self._others(filters or {}, features or {}),
        }

    def _ages(self, ages: Iterable[float] | None, n_items: int) -> dict[str, tf.Tensor]:
        """The input with the ages of one history of `n_items`, if the model reads ages."""
        if HISTORY_AGE.name in self._recommend.structured_input_signature[1]:
            days = [] if ages is None else checked_ages(ages, n_items, "recommend: history_ages")
            return {HISTORY_AGE.name: tf.constant([days], tf.float32)}
        if ages is not None:
            raise InputError(
                "recommend: history_ages are for models that read the ages of histories, and this "
                f"export's does not; leave them out. Received: {self.path}"
            )
        return {}

    def _others(
        self, filters: Mapping[str, object], features: Mapping[str, object]
    ) -> dict[str, tf.Tensor]:
        """All inputs of filters and features, with neutral values for those not given."""
        specs = self._recommend.structured_input_signature[1]
        for kind, given, names in (
            ("filter", filters, self.filters),
            ("feature", features, self.features),
        ):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise InputError(
                    f"recommend: the export has no {kind} {unknown[0]!r}. Its {kind}s: "
                    f"{sorted(names)}"
                )
        found = {name: _filter(name, filters.get(name), specs[name]) for name in self.filters}
        for name in self.features:
            found[name] = _feature(name, features.get(name), specs[name])
            kind = self._kinds.get(name)
            if kind in TIME_KINDS:
                problem = self._times.problem(kind, found[name].numpy())
                if problem is not None:
                    raise InputError(f"recommend: {name} {problem}")
        return found

    def _read(self, name: str, read):
        try:
            return read(self.path / name)
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"export: {self.path / name} is not readable: {reason}") from None


def _check_k(k) -> None:
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 1 <= int(k) < 2**31:
        raise InputError(f"recommend: k must be a whole number of at least 1. Received: {k!r}")


def _pairs(ids: tf.Tensor, scores: tf.Tensor) -> list[tuple[str, float]]:
    """The ids and scores `[1, k]` of one request, without padding."""
    pairs = zip(ids[0].numpy(), scores[0].numpy(), strict=True)
    return [(one.decode(), float(score)) for one, score in pairs if one]


def _listed(values) -> Any:
    return values if isinstance(values, str | None) else list(values)


def _choices(values: Iterable[str] | None, name: str) -> list[bytes]:
    """Encodes ids: None as no restriction, an empty list as an unknown id, so nothing matches."""
    if values is None:
        return []
    return _ids(values, name) or [NOTHING]


def _feature(name: str, value, spec: tf.TensorSpec) -> tf.Tensor:
    if spec.dtype != tf.string:
        return _number(name, value, spec.dtype)
    if spec.shape.rank == 2:
        return tf.constant([_ids([] if value is None else value, name)], tf.string)
    return tf.constant(_ids(["" if value is None else value], name))


def _filter(name: str, value, spec: tf.TensorSpec) -> tf.Tensor:
    dtype = spec.dtype
    if dtype == tf.string:
        texts = [value] if isinstance(value, str) else value
        return tf.constant([_choices(texts, name)], tf.string)
    if dtype == tf.bool:
        if not isinstance(value, bool | None):
            raise InputError(f"recommend: {name} must be True or False. Received: {value!r}")
        return tf.constant([bool(value)])
    return _number(name, value, dtype)


def _number(name: str, value, dtype: tf.DType) -> tf.Tensor:
    if not isinstance(value, numbers.Real | None):
        raise InputError(f"recommend: {name} must be a number. Received: {value!r}")
    return tf.constant([float("nan") if value is None else float(value)], dtype)


def _ids(ids: Iterable[str], name: str) -> list[bytes]:
    if isinstance(ids, str):
        raise InputError(f"recommend: {name} must be a list of ids. Received: the text {ids!r}")
    values = list(ids)
    for value in values:
        if not isinstance(value, str):
            raise InputError(f"recommend: {name} must hold strings. Received: {value!r}")
    check_unicode(values, f"recommend: {name}")
    return [value.encode() for value in values]
