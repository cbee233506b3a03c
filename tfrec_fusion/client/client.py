"""Client for TF Serving over gRPC or REST that returns pandas frames."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfrec_fusion.client.credentials import Credentials
from tfrec_fusion.client.errors import serving_error
from tfrec_fusion.client.grpc_transport import GrpcTransport
from tfrec_fusion.client.inputs import (
    AGES,
    array,
    choices,
    counts,
    filter_values,
    ids_of,
    neutral_array,
    with_ages,
)
from tfrec_fusion.client.model_spec import ModelSpec
from tfrec_fusion.client.rest_transport import RestTransport
from tfrec_fusion.client.retry import with_retries
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.explained.shares import explained_inputs, share_output

_HISTORY = "history"


class Client:
    """Calls one served model: recommendations, shares of scores, or any other signature.

    The client splits calls of more than `batch_size` rows into several requests. It retries only
    transient failures (server down, busy or starting, connection reset), with exponential backoff
    until the timeout. If you ask for a version or a label it also retries NOT_FOUND, because that
    version may be loading. Connections stay open between calls, and threads may share a client.

    The client pads lists with "" to one width and also puts "" in front of each: a server that
    merges requests with `pad_variable_length_inputs` pads narrower lists with their first value,
    and models ignore "". Ages of histories get NaN, which is as none, in the same places.

    Args:
      server: "host:8500" for gRPC, or "http://host:8501" or "https://..." for REST.
      model: its name on the server.
      version, label: the version to call; give at most one. By default the server chooses.
      timeout: seconds that each request may take, retries included.
      retries: further attempts of a request after the first.
      backoff: seconds before the second attempt; doubles with each attempt.
      batch_size: maximum rows of a request; at most the server's `max_batch_size`.
      api_key: sent with each request as `Authorization: Bearer KEY` (over gRPC as metadata). No
        error, log or `repr` shows it. As in gRPC itself, it needs TLS unless the server runs on
        this machine (`localhost`, 127.0.0.1).
      tls: encrypt gRPC; an https:// address implies it.
      ca_certs: PEM file of the certificates to trust, if no public authority signed the server's.

    Raises:
      InputError: an invalid argument.
      ImportError: the extra `serving` is not installed.

    Example:
      >>> with Client("localhost:8500", model="shop") as shop:  # needs a server  # doctest: +SKIP
      ...     best = shop.recommend(["u17", "u18"], exclude=[["i3"], []], k=5)
    """

    def __init__(
        self,
        server: str,
        *,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 5.0,
        retries: int = 4,
        backoff: float = 0.1,
        batch_size: int = 64,
        api_key: str | None = None,
        tls: bool = False,
        ca_certs: str | Path | None = None,
    ):
        if version is not None and label is not None:
            raise InputError(
                f"client: give version or label, not both. Received: {version} and {label!r}"
            )
        for name, value, least in (
            ("timeout", timeout, 1e-3),
            ("retries", retries, 0),
            ("backoff", backoff, 0),
            ("batch_size", batch_size, 1),
        ):
            if not isinstance(value, numbers.Real) or not value >= least:
                raise InputError(f"client: {name} must be at least {least}. Received: {value!r}")
        spec = ModelSpec(model, version, label)
        rest = server.startswith(("http://", "https://"))
        credentials = Credentials(server, api_key, tls, ca_certs)
        transport = RestTransport if rest else GrpcTransport
        self._transport = transport(server, spec, credentials=credentials)
        self._timing = {"timeout": timeout, "retries": retries, "backoff": backoff}
        self._timing["loading"] = version is not None or label is not None
        self._batch_size = batch_size
        self._signatures: dict | None = None

    def recommend(
        self,
        users: Sequence[str],
        histories: Sequence[Iterable[str]] | None = None,
        exclude: Sequence[Iterable[str]] | None = None,
        k: int = 10,
        *,
        history_ages: Sequence[Iterable[float] | None] | None = None,
        include: Sequence[Iterable[str] | None] | None = None,
        exclude_seen: bool | Sequence[bool] | None = None,
        filters: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> pd.DataFrame:
        """Recommends the k best items for each user, fewer if filters and exclusions leave fewer.

        Args:
          users: user ids; the model treats an unknown id as a cold user.
          histories: item ids for each user, the latest last. For an empty list the model uses the
            history stored in the export.
          exclude: item ids for each user that must not be recommended.
          k: number of items.
          history_ages: how many days ago each user took each item of the history, for models that
            read ages; None, also of one user, is 0 for all, i.e. now.
          include: candidate item ids for each user; None means all items.
          exclude_seen: whether to exclude the stored history even if a user's history is given;
            one bool for all users or one for each.
          filters: filter input of the model -> its value for all users: a string or a list of
            strings, a number, or a bool, e.g. `{"category": ["cheese", "wine"], "price_max": 20}`.
          **inputs: other inputs of the signature `recommend`, one value or list per user. Inputs
            that you leave out get values without effect.

        Returns:
          A frame with the columns `user` (position in `users`), `user_id`, `rank` (from 1),
          `item_id` and `score`, best first.

        Raises:
          InputError: arguments of different lengths or wrong types.
          ServingError: the server refuses the request or does not answer.
        """
        users = ids_of(users, "users")
        given = {
            "user_id": users,
            _HISTORY: histories,
            AGES: history_ages,
            "exclude": exclude,
            "include": None if include is None else [choices(ids, "include") for ids in include],
            "exclude_seen": exclude_seen,
            "k": counts(k, len(users)),
            **inputs,
        }
        if isinstance(exclude_seen, bool):
            given["exclude_seen"] = [exclude_seen] * len(users)
        given |= filter_values(filters, given, len(users))
        given = {name: value for name, value in given.items() if value is not None}
        answer = self._predict("recommend", given, len(users), fill=True)
        return _ranked(answer, "item_id", k, {"user": "user_id"}, users)

    def similar(
        self, items: Sequence[str], k: int = 10, *, filters: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """The k items most similar to each item ("more like this").

        Args:
          items: item ids; an unknown one has no similar items.
          k: number of items.
          filters: as in `recommend`.

        Returns:
          A frame with the columns `item` (position in `items`), `item_id`, `rank` (from 1),
          `similar_id` and `score`, best first.

        Raises:
          InputError: arguments of wrong types, or a version without the signature `similar`.
          ServingError: the server refuses the request or does not answer.
        """
        items = ids_of(items, "items")
        given = {"item_id": items, "k": counts(k, len(items))}
        given |= filter_values(filters, given, len(items))
        answer = self._predict("similar", given, len(items), fill=True)
        return _ranked(answer, "similar_id", k, {"item": "item_id"}, items)

    def search(
        self,
        queries: Sequence[str] | None = None,
        k: int = 10,
        *,
        users: Sequence[str] | None = None,
        vectors: Sequence[Sequence[float]] | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """The k items found for each query; of an export with `search`.

        Args:
          queries: texts, or None if `vectors` are given.
          k: number of items.
          users: ids of the users who search, "" for nobody; None for nobody at all.
          vectors: a vector for each query, in place of those of the texts.
          filters: as in `recommend`.

        Returns:
          A frame with the columns `position` (of the query), `query`, `rank` (from 1), `item_id`
          and `score`, best first.

        Raises:
          InputError: arguments of different lengths or wrong types, or a version without the
            signature `search` or without such an input.
          ServingError: the server refuses the request or does not answer.
        """
        if queries is None and vectors is None:
            raise InputError("client: search needs queries or vectors. Received: neither")
        rows = len(vectors or ()) if queries is None else len(queries)
        asked = [""] * rows if queries is None else ids_of(queries, "queries")
        given: dict[str, Any] = {"k": counts(k, rows)}
        if queries is not None:
            given["query"] = asked
        if vectors is not None:
            given["query_vector"] = vectors
        if users is not None:
            given["user_id"] = ids_of(users, "users")
        given |= filter_values(filters, given, rows)
        answer = self._predict("search", given, rows, fill=True)
        return _ranked(answer, "item_id", k, {"position": "query"}, asked)

    def audience(self, items: Sequence[str], k: int = 10) -> pd.DataFrame:
        """The k stored users to whom each item should be shown; of an export with `audience`.

        Args:
          items: item ids; an unknown one has no users.
          k: number of users.

        Returns:
          A frame with the columns `item` (position in `items`), `item_id`, `rank` (from 1),
          `user_id` and `score`, best first.

        Raises:
          InputError: arguments of wrong types, or a version without the signature `audience`.
          ServingError: the server refuses the request or does not answer.
        """
        items = ids_of(items, "items")
        given = {"item_id": items, "k": counts(k, len(items))}
        answer = self._predict("audience", given, len(items), fill=True)
        return _ranked(answer, "user_id", k, {"item": "item_id"}, items)

    def explain(
        self,
        users: Sequence[str],
        items: Sequence[Iterable[str]],
        histories: Sequence[Iterable[str]] | None = None,
        *,
        history_ages: Sequence[Iterable[float] | None] | None = None,
        **inputs: Any,
    ) -> pd.DataFrame:
        """Splits scores into shares of ids, text and context; needs an export with `explain`.

        Args:
          users: user ids; the model treats an unknown id as a cold user.
          items: item ids for each user; the model treats an unknown id as a cold item.
          histories, history_ages, **inputs: as in `recommend`.

        Returns:
          A frame with a row for each item of each user, in the order given: `user` (position in
          `users`), `user_id`, `item_id`, `score`, and the terms that add up to it: `share_id`,
          `share_text` (or one share for each other vector of the model), `share_context`, and
          `bias`, the score without any of these inputs. The score excludes boosts of rules.

        Raises:
          InputError: arguments of different lengths or wrong types, or a version without shares.
          ServingError: the server refuses the request or does not answer.
        """
        found, listed = ids_of(users, "users"), [ids_of(ids, "items") for ids in items]
        past = {_HISTORY: histories, AGES: history_ages}
        given = {"user_id": found, "item_id": listed, **past, **inputs}
        given = {name: value for name, value in given.items() if value is not None}
        answer = self._predict("explain", given, len(found), fill=True)
        rows = np.repeat(np.arange(len(found)), [len(ids) for ids in listed])
        places = np.array([place for ids in listed for place in range(1, 1 + len(ids))], int)
        frame = {
            "user": rows,
            "user_id": np.asarray(found, object)[rows],
            "item_id": [item for ids in listed for item in ids],
        }
        for name in ("score", *map(share_output, explained_inputs(answer)), "bias"):
            frame[name] = answer[name][rows, places]
        return pd.DataFrame(frame)

    def predict(
        self, frame: pd.DataFrame | Mapping[str, Sequence], signature: str = "serving_default"
    ) -> pd.DataFrame:
        """Runs any signature and returns one row of outputs for each input row.

        Args:
          frame: a column for each input, with one value per row, or one list per row if the
            signature takes lists; lists may differ in length. If `item_id` holds lists, each
            output holds lists with one value for each of these items.
          signature: name of the signature.

        Returns:
          A frame with the index of `frame` and a column for each output. Outputs of more than one
          dimension are lists. `bytes` are decoded to `str`, except in columns named `*_bytes`.

        Raises:
          InputError: columns other than the signature's inputs, or values of a wrong type.
          ServingError: the server refuses the request or does not answer.
        """
        table: Any = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(dict(frame))
        columns = {name: table[name].tolist() for name in table}
        answer = self._predict(signature, columns, len(table), fill=False)
        lengths = None
        if self.signatures()[signature]["inputs"].get("item_id", ("", 0))[1] == 2:
            lengths = [len(items) for items in columns["item_id"]]
        found = {}
        for name, values in answer.items():
            text = values.dtype == object and not name.endswith("_bytes")
            rows = [_decoded(row) if text else row for row in values]
            if values.ndim > 1:
                rows = [list(row) for row in rows]
                if lengths is not None:
                    rows = [row[1 : 1 + length] for row, length in zip(rows, lengths, strict=True)]
            found[name] = rows
        return pd.DataFrame(found, index=table.index)

    def signatures(self) -> dict[str, dict[str, dict[str, tuple[str, int]]]]:
        """Metadata of the model: signature -> "inputs" or "outputs" -> name -> (dtype, rank)."""
        found = self._signatures
        if found is None:
            found = self._signatures = self._call(self._transport.signatures)
        return found

    def status(self) -> pd.DataFrame:
        """State of each version that the server knows, or only of the client's `version`.

        TF Serving ignores labels in status requests, so a label selects nothing here.

        Returns:
          A frame with the columns `version`, `state` ("AVAILABLE", "LOADING", ...) and `error`.
        """
        found = self._call(self._transport.status)
        frame = pd.DataFrame(found, columns=["version", "state", "error"])
        return frame.sort_values("version", ignore_index=True)

    def close(self) -> None:
        """Closes the connections; the client cannot be used afterwards."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _call(self, function, *arguments):
        return with_retries(lambda left: function(*arguments, left), **self._timing)

    def _predict(self, signature: str, given: Mapping[str, Any], rows: int, *, fill: bool):
        """Sends requests of at most `batch_size` rows; returns output name -> array of all rows."""
        known = self.signatures()
        if signature not in known:
            # A version loaded since the last look may have it.
            self._signatures = None
            known = self.signatures()
        if signature not in known:
            raise InputError(
                f"client: the model has no signature {signature!r}; use one of {sorted(known)}"
            )
        inputs = known[signature]["inputs"]
        unknown, missing = set(given) - set(inputs), set(inputs) - set(given)
        if unknown or (missing and not fill):
            raise InputError(
                f"client: {signature} takes the inputs {sorted(inputs)}. Received: {sorted(given)}"
            )
        if AGES in given and _HISTORY in inputs:
            given = {**given, **with_ages(given[AGES], given.get(_HISTORY), rows)}
        arrays = {
            name: array(name, given[name], dtype, rank, rows)
            if name in given
            else neutral_array(dtype, rank, rows)
            for name, (dtype, rank) in inputs.items()
        }
        parts = []
        for start in range(0, rows, self._batch_size):
            part = {n: values[start : start + self._batch_size] for n, values in arrays.items()}
            parts.append(self._call(self._transport.predict, signature, part))
        if not parts:
            return {
                name: np.zeros([0] * max(rank, 1), object if dtype == "string" else dtype)
                for name, (dtype, rank) in known[signature]["outputs"].items()
            }
        if any(part.keys() != parts[0].keys() for part in parts):
            raise serving_error(
                "ABORTED", f"{signature}: the server switched versions during the call; call again"
            )
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Concatenates parts; a server that merges requests may have padded some of them wider."""
    if parts[0].ndim > 1:
        width = min(part.shape[1] for part in parts)
        parts = [part[:, :width] for part in parts]
    return np.concatenate(parts)


def _ranked(
    answer: Mapping[str, np.ndarray], name: str, k: int, of: Mapping[str, str], asked: Sequence[str]
) -> pd.DataFrame:
    """A row for each id of the output `name`; `of` names the columns of position and id asked."""
    ids, scores = answer[name][:, :k], answer["score"][:, :k]
    rows, ranks = np.nonzero(ids != b"")
    ((position, own),) = of.items()
    return pd.DataFrame(
        {
            position: rows,
            own: np.asarray(asked, object)[rows],
            "rank": ranks + 1,
            name: [one.decode() for one in ids[rows, ranks]],
            "score": scores[rows, ranks],
        }
    )


def _decoded(value):
    if isinstance(value, np.ndarray):
        return np.array([_decoded(item) for item in value], object)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
