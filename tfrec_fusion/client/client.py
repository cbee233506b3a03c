"""Ask a running TF Serving, over gRPC or REST, in pandas."""

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
from tfrec_fusion.client.model_spec import ModelSpec
from tfrec_fusion.client.rest_transport import RestTransport
from tfrec_fusion.client.retry import with_retries
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.explained.shares import explained_inputs, share_output
from tfrec_fusion.signature import NOTHING, neutral
from tfrec_fusion.texts import check_unicode


class Client:
    """A model on a server: recommendations and any other signature.

    Requests of more rows than `batch_size` go out in parts. What may work the next time (the server
    is gone, busy or starting, a connection is reset) is tried again with growing pauses within the
    deadline, and so is NOT_FOUND where a version or a label is asked for: it may be loading.
    Nothing else is. Connections stay open between calls; a client may be used by several threads.

    Lists are filled up to one width with "", and each starts with one: a server that merges
    requests with `pad_variable_length_inputs` fills the narrower ones up with their first value,
    and "" is what changes nothing.

    Args:
      server: "host:8500" for gRPC, or "http://host:8501" or "https://..." for REST.
      model: its name on the server.
      version, label: which version, at most one of them; the server's choice unless given.
      timeout: seconds for a call, with all its parts' retries each.
      retries: tries of a part after the first.
      backoff: seconds before the second try; doubles from try to try.
      batch_size: at most so many rows a request: the server's `max_batch_size`.
      api_key: goes with each request as `Authorization: Bearer KEY`, over gRPC as metadata; no
        error, log or `repr` shows it. As in gRPC itself, it is refused without TLS, except to
        this machine (`localhost`, 127.0.0.1).
      tls: encrypt gRPC; an https:// address says so by itself.
      ca_certs: PEM file of the certificates to trust, where the server's own is not signed by one
        that everybody trusts.

    Raises:
      InputError: a bad argument.
      ImportError: the extra `serving` is not installed.

    Example:
      >>> with Client("localhost:8500", model="shop") as shop:  # of a server  # doctest: +SKIP
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
            raise InputError(f"client: give version or label. Received: {version} and {label!r}")
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
        include: Sequence[Iterable[str] | None] | None = None,
        exclude_seen: bool | Sequence[bool] | None = None,
        filters: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> pd.DataFrame:
        """The k best items for each user, fewer where fewer are left.

        Args:
          users: ids; an unknown one is a user of whom nothing is known.
          histories: item ids for each user, the latest last; an empty one takes the baked history.
          exclude: item ids for each user that must not come back.
          k: how many.
          include: item ids for each user of which only these may come back; None for all items.
          exclude_seen: whether the baked history is excluded too where a user's history is given;
            for all users or for each.
          filters: input of the model's filters -> the same for all users: a text or a list of
            texts, a number, or a bool, e.g. `{"category": ["cheese", "wine"], "price_max": 20}`.
          **inputs: of the signature `recommend` beside these, one value or list a user. Those that
            the model has and that are not given are left neutral.

        Returns:
          A frame with the columns `user` (position in `users`), `user_id`, `rank` (from 1),
          `item_id` and `score`, best first.

        Raises:
          InputError: arguments of different lengths or types.
          ServingError: the server refuses or does not answer.
        """
        users = _ids(users, "users")
        if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 1 <= k < 2**31:
            raise InputError(f"client: k must be a whole number of at least 1. Received: {k!r}")
        given = {
            "user_id": users,
            "history": histories,
            "exclude": exclude,
            "include": None if include is None else [_choices(ids, "include") for ids in include],
            "exclude_seen": exclude_seen,
            "k": [int(k)] * len(users),
            **inputs,
        }
        if isinstance(exclude_seen, bool):
            given["exclude_seen"] = [exclude_seen] * len(users)
        for name, value in (filters or {}).items():
            if given.get(name) is not None:
                raise InputError(f"client: filters: {name} is given already. Received: {value!r}")
            value = [value] if isinstance(value, str) else value
            value = _choices(value, name) if isinstance(value, Iterable) else value
            given[name] = [value] * len(users)
        given = {name: value for name, value in given.items() if value is not None}
        answer = self._predict("recommend", given, len(users), fill=True)
        ids, scores = answer["item_id"][:, :k], answer["score"][:, :k]
        rows, ranks = np.nonzero(ids != b"")
        return pd.DataFrame(
            {
                "user": rows,
                "user_id": np.asarray(users, object)[rows],
                "rank": ranks + 1,
                "item_id": [item.decode() for item in ids[rows, ranks]],
                "score": scores[rows, ranks],
            }
        )

    def explain(
        self,
        users: Sequence[str],
        items: Sequence[Iterable[str]],
        histories: Sequence[Iterable[str]] | None = None,
    ) -> pd.DataFrame:
        """The shares of ids, text and the rest in scores, of a version exported with `explain`.

        Args:
          users: ids; an unknown one is a user of whom nothing is known.
          items: item ids for each user; an unknown one is a new item of which nothing is known.
          histories: as of `recommend`.

        Returns:
          A frame with a row for each item of each user, in the order given: `user` (position in
          `users`), `user_id`, `item_id`, `score`, and what adds up to it: `share_id`, `share_text`
          or the model's other vectors, `share_context` and `bias`, what is left without them. The
          score knows of no rules.

        Raises:
          InputError: arguments of different lengths or types, or a version without shares.
          ServingError: the server refuses or does not answer.
        """
        found, listed = _ids(users, "users"), [_ids(ids, "items") for ids in items]
        given = {"user_id": found, "item_id": listed, "history": histories}
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
        """The outputs of any signature, a row for each row of the inputs.

        Args:
          frame: a column for each input: a value a row, or a list a row where the signature takes
            lists, which may differ in length. Where `item_id` holds lists, so do the outputs, in
            step with it.
          signature: its name.

        Returns:
          A frame with the index of `frame` and a column for each output; outputs of more than one
          dimension are lists (of `bytes` decoded to `str`, except in columns named `*_bytes`).

        Raises:
          InputError: columns that are not the signature's inputs, or values of another type.
          ServingError: the server refuses or does not answer.
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
        """The model's metadata: signature -> "inputs" and "outputs" -> name -> (dtype, rank)."""
        found = self._signatures
        if found is None:
            found = self._signatures = self._call(self._transport.signatures)
        return found

    def status(self) -> pd.DataFrame:
        """The columns `version`, `state` ("AVAILABLE", "LOADING", ...) and `error`.

        A row for each version that the server knows of, or for the client's `version`. A label
        chooses nothing here: TF Serving ignores it in a status.
        """
        found = self._call(self._transport.status)
        frame = pd.DataFrame(found, columns=["version", "state", "error"])
        return frame.sort_values("version", ignore_index=True)

    def close(self) -> None:
        """Closes the connections; the client is done."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _call(self, function, *arguments):
        return with_retries(lambda left: function(*arguments, left), **self._timing)

    def _predict(self, signature: str, given: Mapping[str, Any], rows: int, *, fill: bool):
        """Output name -> array of `rows` rows, of requests of at most `batch_size` rows."""
        known = self.signatures()
        if signature not in known:
            # A newer version may have it.
            self._signatures = None
            known = self.signatures()
        if signature not in known:
            raise InputError(
                f"client: the model has no signature {signature!r}. It has: {sorted(known)}"
            )
        inputs = known[signature]["inputs"]
        unknown, missing = set(given) - set(inputs), set(inputs) - set(given)
        if unknown or (missing and not fill):
            raise InputError(
                f"client: {signature} takes {sorted(inputs)}. Received: {sorted(given)}"
            )
        arrays = {
            name: _array(name, given[name], dtype, rank, rows)
            if name in given
            else _neutral(dtype, rank, rows)
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
            raise serving_error("ABORTED", f"{signature}: another version took over; ask again")
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """One below the other; the server may have widened some for requests that it merged."""
    if parts[0].ndim > 1:
        width = min(part.shape[1] for part in parts)
        parts = [part[:, :width] for part in parts]
    return np.concatenate(parts)


def _choices(values: Iterable[str] | None, name: str) -> list[str | bytes]:
    """None as nothing; an empty list, of which nothing may come back, as an unknown value."""
    if values is None:
        return []
    return _ids(values, name) or [NOTHING]


def _ids(ids: Iterable[str | bytes], name: str) -> list[Any]:
    if isinstance(ids, str | bytes):
        raise InputError(f"client: {name} must be a list of ids. Received: the text {ids!r}")
    found = list(ids)
    for value in found:
        if not isinstance(value, str | bytes):
            raise InputError(f"client: {name} must hold strings. Received: {value!r}")
    check_unicode([value for value in found if isinstance(value, str)], f"client: {name}")
    return found


def _array(name: str, values: Any, dtype: str, rank: int, rows: int) -> np.ndarray:
    values = list(values)
    if len(values) != rows:
        raise InputError(
            f"client: {name} must have a value for each of {rows} rows. Received: {len(values)}"
        )
    if rank == 2 and dtype == "string":
        return _padded([_ids(value, name) for value in values])
    if dtype == "string":
        return np.array(_ids(values, name), object).reshape(rows)
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError):
        raise InputError(f"client: {name} must be {dtype}. Received: {values[:3]!r}") from None


def _padded(lists: Sequence[Sequence[str | bytes]]) -> np.ndarray:
    """`[rows, 1 + the longest]`, "" first and at the end."""
    width = 1 + max(map(len, lists), default=0)
    found = np.full([len(lists), width], "", object)
    for row, values in enumerate(lists):
        found[row, 1 : 1 + len(values)] = values
    return found


def _neutral(dtype: str, rank: int, rows: int) -> np.ndarray:
    shape = [rows, *[1] * (rank - 1)]
    return np.full(shape, neutral(dtype), object if dtype == "string" else dtype)


def _decoded(value):
    if isinstance(value, np.ndarray):
        return np.array([_decoded(item) for item in value], object)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
