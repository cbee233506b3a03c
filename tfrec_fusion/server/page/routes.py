"""HTTP routes of the page and of its API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from tfrec_fusion.config import read_json
from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.server.api_key import open_to_all
from tfrec_fusion.server.codec.json_text import parse_object
from tfrec_fusion.server.origins import require_json
from tfrec_fusion.server.page.form import Form
from tfrec_fusion.server.page.item_index import folded_words, item_index
from tfrec_fusion.server.page.shares import SIGNATURE, explain_inputs, explains, shares
from tfrec_fusion.server.predictor import Predictor
from tfrec_fusion.server.rest.body import DisconnectedError, read_body
from tfrec_fusion.server.rest.paths import version_number
from tfrec_fusion.server.servable import Servable

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Makes the browser refuse content from any other server.
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_MOST_SUGGESTIONS = 50
_LIMITS = {str(limit) for limit in range(1, _MOST_SUGGESTIONS + 1)}
# Limits of item searches; each word is searched in all titles.
_MOST_CHARACTERS, _MOST_WORDS, _SEARCHES_AT_ONCE = 200, 16, 2
# Parts of the run's config not shown, as they hold file paths.
_PRIVATE = ("data", "recorded")


def page_routes(predictor: Predictor) -> list[BaseRoute]:
    """Routes for `Server(routes=page_routes)`: the page at `/`, its files, and its API at `/api`.

    On a server with a key the page and its files need no key, but the API does.

    The API answers in JSON; an error is `{"error": message, "code": name}`.

    - GET `/api/models`: the models, their loaded versions and labels.
    - GET `/api/models/NAME/versions/N`: the model card, the form, the number of items, and the
      item columns that can be shown beside titles.
    - GET `.../items?q=TEXT&limit=N`: items that match by title or id, most popular first.
    - POST `.../answers` with `{"inputs": {field: value}}`: items with titles, columns and scores,
      and the shares of the scores if the version was exported with `explain`. With a text in the
      field `query`, of a version exported with `search`: the items found.
    """
    api = _Api(predictor)
    version = "/api/models/{name}/versions/{version}"
    files = [
        Route(f"/page/{path.name}", _file(path), methods=["GET"])
        for path in sorted(_STATIC.iterdir())
        if path.suffix in _TYPES and path.name != "index.html"
    ]
    return [
        Route("/", _file(_STATIC / "index.html"), methods=["GET"]),
        *files,
        Route("/api/models", _json(api.models), methods=["GET"]),
        Route(version, _json(api.version), methods=["GET"]),
        Route(f"{version}/items", _json(api.items), methods=["GET"]),
        Route(f"{version}/answers", _json(api.answers), methods=["POST"]),
    ]


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    @open_to_all
    async def answer(request: Request) -> Response:
        return FileResponse(path, media_type=_TYPES[path.suffix], headers=_HEADERS)

    return answer


def _json(function: Callable[[Request], Awaitable[dict]]):
    async def answer(request: Request) -> Response:
        try:
            found, status = await function(request), 200
        except StatusError as error:
            found, status = {"error": error.message, "code": error.code}, error.http
        except DisconnectedError:
            return Response(status_code=400)
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
        body = text.encode("utf-8", "replace")
        return Response(body, status, _HEADERS, "application/json")

    return answer


class _Api:
    def __init__(self, predictor: Predictor):
        self._predictor, self._manager = predictor, predictor.manager
        self._searches = asyncio.Semaphore(_SEARCHES_AT_ONCE)

    async def models(self, request: Request) -> dict:
        found = []
        for name in self._manager.models:
            labels = self._manager.labels.get(name, {})
            versions = [
                {
                    "version": version,
                    "labels": sorted(label for label, of in labels.items() if of == version),
                }
                for version, state in self._states(name).items()
                if state.state == "AVAILABLE"
            ]
            found.append({"name": name, "versions": versions})
        return {"models": found}

    def _states(self, name: str) -> dict:
        try:
            return self._manager.status(name)
        except StatusError:
            return {}

    async def version(self, request: Request) -> dict:
        with self._servable(request) as servable:
            card, form = await asyncio.to_thread(_card_and_form, servable)
            index = await asyncio.to_thread(item_index, servable.path)
        run_config = card.get("run_config") or {}
        card["run_config"] = {k: v for k, v in run_config.items() if k not in _PRIVATE}
        return {
            "card": card,
            "form": form and form.to_dict(),
            "items": len(index),
            "columns": index.columns,
        }

    async def items(self, request: Request) -> dict:
        with self._counted(request, "Items"):
            text, limit = _search(request)
            with self._servable(request) as servable, self._predictor.request() as deadline:
                async with self._searching(deadline):
                    index = await asyncio.to_thread(item_index, servable.path)
                    return {"items": await asyncio.to_thread(index.search, text, limit)}

    @contextlib.asynccontextmanager
    async def _searching(self, deadline: float) -> AsyncIterator[None]:
        """Limits concurrent searches, as each holds Python's global interpreter lock."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._searches.acquire()
        except TimeoutError:
            raise StatusError("DEADLINE_EXCEEDED", "too many searches are waiting") from None
        try:
            yield
        finally:
            self._searches.release()

    async def answers(self, request: Request) -> dict:
        headers = dict(request.scope["headers"])
        with self._counted(request, "Predict"):
            require_json(request)
            body = await read_body(request.receive, headers, self._predictor.limits)
            self._predictor.limits.check_json(body)
            inputs = _inputs(body)
            with self._servable(request) as servable, self._predictor.request() as deadline:
                return await self._answer(servable, inputs, deadline)

    @contextlib.contextmanager
    def _counted(self, request: Request, api: str) -> Iterator[None]:
        """Counts and logs a request with its status."""
        started, error = time.monotonic(), None
        try:
            yield
        except StatusError as caught:
            error = caught
            raise
        finally:
            seconds = time.monotonic() - started
            self._predictor.done("PAGE", request.path_params["name"], api, error, seconds)

    async def _answer(self, servable: Servable, given: Mapping, deadline: float) -> dict:
        _, form = await asyncio.to_thread(_card_and_form, servable)
        if form is None:
            raise StatusError("UNIMPLEMENTED", "the model has no signature that the page can call")
        index = await asyncio.to_thread(item_index, servable.path)
        form, given = form.question(given)
        inputs = form.arrays(given)
        started = time.monotonic()
        outputs = await self._predictor.predict(servable, form.signature, inputs, deadline=deadline)
        seconds = time.monotonic() - started
        item_ids = _texts(outputs["item_id"] if "item_id" in outputs else inputs["item_id"])
        columns = {
            output: outputs[output][0].tolist()
            for output in ("score", "probability")
            if output in outputs
        }
        rows = [
            {"item_id": item_id, "title": title, "columns": shown}
            | {column: _finite(values[place]) for column, values in columns.items()}
            for place, (item_id, title, shown) in enumerate(
                zip(item_ids, index.titles(item_ids), index.shown(item_ids), strict=True)
            )
            if item_id
        ]
        explained = form.signature == "recommend" and explains(servable.signatures)
        if rows and explained:
            # If the shares fail, answer without them.
            with contextlib.suppress(StatusError):
                await self._explain(servable, inputs, rows, deadline)
        if form.signature == "score":
            rows.sort(key=lambda row: -(row["score"] if row["score"] is not None else -math.inf))
        user = given.get("user_id") or ""
        return {
            "version": servable.version,
            "items": rows,
            "explained": explained,
            "known_user": None if index.users is None else bool(index.users.rows([user])[0] >= 0),
            "unknown_items": {
                field["name"]: unknown
                for field in form.fields
                if field["kind"] == "items"
                and (unknown := index.unknown(given.get(field["name"]) or []))
            },
            "milliseconds": round(seconds * 1000, 2),
        }

    async def _explain(self, servable: Servable, asked: dict, rows: list[dict], deadline: float):
        """Adds shares to the items of an answer, up to the maximum list length."""
        rows = rows[: self._predictor.limits.list_length]
        names = servable.signatures[SIGNATURE].inputs
        inputs = explain_inputs(asked, [row["item_id"] for row in rows], names)
        outputs = await self._predictor.predict(servable, SIGNATURE, inputs, deadline=deadline)
        for row, found in zip(rows, shares(outputs, [row["score"] for row in rows]), strict=True):
            row["shares"] = found

    def _servable(self, request: Request):
        version = version_number(request.path_params["version"])
        return self._manager.servable(request.path_params["name"], version)


def _card_and_form(servable: Servable) -> tuple[dict, Form | None]:
    path = servable.path / CARD
    card = read_json(path, "page") if path.is_file() else {}
    return card, Form.of(servable.signatures, card, servable.path)


def _search(request: Request) -> tuple[str, int]:
    """The search text and the maximum number of items."""
    text, limit = request.query_params.get("q", ""), request.query_params.get("limit", "10")
    if limit not in _LIMITS:
        raise invalid(f"limit must be from 1 to {_MOST_SUGGESTIONS}. Received: {limit:.20}")
    if len(text) > _MOST_CHARACTERS:
        raise invalid(f"q may have at most {_MOST_CHARACTERS} characters. Received: {len(text)}")
    words = len(set(folded_words(text)))
    if words > _MOST_WORDS:
        raise invalid(f"q may have at most {_MOST_WORDS} different words. Received: {words}")
    return text, int(limit)


def _inputs(body: bytes) -> dict:
    try:
        found = parse_object(body)
    except StatusError as error:
        raise invalid(f"the body is not JSON: {error.message}") from None
    if not isinstance(found.get("inputs"), dict):
        raise invalid('the body must be {"inputs": {...}}')
    return found["inputs"]


def _texts(values: np.ndarray) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values[0].tolist()]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
