"""Authentication by one shared API key, over HTTP and gRPC."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable

import grpc
from starlette.applications import Starlette
from starlette.routing import Match

from tfrec_fusion.errors import InputError
from tfrec_fusion.server.codec.json_response import error_body

VARIABLE = "TFREC_FUSION_API_KEY"
_HEADER, _AUTHORIZATION = "x-api-key", "authorization"
_REFUSAL = "the API key is missing or wrong"
# A browser opens its password dialog for Basic, but not for Bearer.
_BASIC = b'Basic realm="tfrec-fusion", charset="UTF-8"'
_BEARER = b'Bearer realm="tfrec-fusion"'


class ApiKey:
    """The API key that requests must carry.

    Clients send it as `X-API-Key: KEY` or `Authorization: Bearer KEY` (over gRPC as metadata of
    these names), or as the password of HTTP basic authentication, for which browsers ask the user.

    Raises:
      InputError: the key is empty, is not ASCII, or has leading or trailing whitespace.

    Example:
      >>> ApiKey("secret").matches([("x-api-key", "secret")])
      True
    """

    def __init__(self, key: str):
        if not key or not key.isascii() or key != key.strip():
            raise InputError(
                "serve: the API key must be ASCII text without leading or trailing whitespace"
            )
        self._key = key.encode()

    def matches(self, headers: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether the headers contain the key; header names must be in lower case."""
        return any([self._is_key(value) for value in map(_candidate, headers) if value is not None])

    def _is_key(self, value: bytes) -> bool:
        # Constant-time comparison: timing tells nothing about the key.
        return hmac.compare_digest(value, self._key)


def open_to_all(endpoint: Callable) -> Callable:
    """Marks a route's endpoint as public: `KeyedApp` lets requests to it pass without a key."""
    endpoint.open_to_all = True
    return endpoint


def is_open(app: Starlette, scope) -> bool:
    """Whether a request goes to a route marked `open_to_all`."""
    for route in app.routes:
        if route.matches(scope)[0] is Match.FULL:
            return getattr(getattr(route, "endpoint", None), "open_to_all", False)
    return False


class KeyedApp:
    """ASGI middleware that answers 401 without the key, except on routes marked `open_to_all`."""

    def __init__(self, app: Starlette, key: ApiKey):
        self._app, self._key = app, key

    async def __call__(self, scope, receive, send) -> None:
        headers = [(name.decode("latin-1"), value) for name, value in scope.get("headers", ())]
        if scope["type"] != "http" or self._key.matches(headers) or is_open(self._app, scope):
            await self._app(scope, receive, send)
            return
        body = error_body(_REFUSAL)
        by_script = any(name == "x-requested-with" for name, _ in headers)
        found = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"www-authenticate", _BEARER if by_script else _BASIC),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": found})
        await send({"type": "http.response.body", "body": body})


class KeyedCalls(grpc.ServerInterceptor):
    """gRPC interceptor that ends calls without the key with UNAUTHENTICATED."""

    def __init__(self, key: ApiKey):
        self._key = key

        def refuse(request, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, _REFUSAL)

        self._refusal = grpc.unary_unary_rpc_method_handler(refuse)

    def intercept_service(self, continuation, handler_call_details):
        if self._key.matches(handler_call_details.invocation_metadata):
            return continuation(handler_call_details)
        return self._refusal


def _candidate(header: tuple[str, str | bytes]) -> bytes | None:
    """The key in a header, or None if the header carries no key."""
    name, value = header
    if name not in (_HEADER, _AUTHORIZATION):
        return None
    value = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    if name == _HEADER:
        return value
    scheme, _, given = value.partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(given).partition(b":")[2]
        except ValueError:
            return None
    return None
