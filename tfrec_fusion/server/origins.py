"""Protection against DNS rebinding and cross-site requests."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.api_key import is_open
from tfrec_fusion.server.codec.json_response import error_body

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443}


class Hosts:
    """The host names under which a server accepts requests.

    In a DNS rebinding attack a foreign name resolves to this server, and the browser sends that
    name as `Host`. Loopback names, the server's own address and all IP addresses are always
    allowed, as no attacker can redirect them.

    Args:
      host: the address that the server listens on.
      allowed: additional names, without ports; "*" allows all.

    Raises:
      InputError: a name with a port, a scheme or a path.

    Example:
      >>> Hosts("127.0.0.1").allows("localhost:8501"), Hosts("127.0.0.1").allows("evil.example")
      (True, False)
    """

    def __init__(self, host: str, allowed: Sequence[str] = ()):
        for name in allowed:
            if not name or any(sign in name for sign in "/ @") or _port(f"//{name}") is not None:
                raise InputError(
                    "serve: --allowed-host must be a name without scheme, port and path, e.g. "
                    f"recommend.example.com, or *. Received: {name!r}"
                )
        self._given = {name.lower() for name in allowed}
        self._names = self._given | {*_LOOPBACK, host.lower()}

    def allows(self, host: str) -> bool:
        """Whether a `Host` header, with or without a port, names an allowed host."""
        name = _name(f"//{host}")
        return "*" in self._given or name in self._names or _is_address(name)

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may call `host`: the server's own page or an allowed name."""
        name = _name(origin)
        if "*" in self._given or name in self._given:
            return True
        return bool(name) and name == _name(f"//{host}") and _port(origin) == _port_of(origin, host)


class GuardedApp:
    """ASGI middleware that answers 403 to foreign hosts and to requests by other sites' pages.

    Other sites may link to routes marked `open_to_all`, such as the page.
    """

    def __init__(self, app, routes: Starlette, hosts: Hosts):
        self._app, self._routes, self._hosts = app, routes, hosts

    async def __call__(self, scope, receive, send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        body = error_body(problem)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _problem(self, scope) -> str | None:
        found: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name, []).append(value.decode("latin-1"))
        hosts = found.get(b"host", [])
        if len(hosts) > 1 or not all(map(self._hosts.allows, hosts)):
            return "the Host header is not allowed; allow it with serve --allowed-host NAME"
        # A preflight request changes nothing, and its answer has no data.
        if scope["method"] == "OPTIONS" or is_open(self._routes, scope):
            return None
        foreign = any(
            not self._hosts.allows_origin(origin, hosts[0] if hosts else "")
            for origin in found.get(b"origin", [])
        )
        # Pages of allowed hosts are cross-site too, but send an Origin, which is checked above.
        cross = "cross-site" in found.get(b"sec-fetch-site", []) and b"origin" not in found
        if foreign or cross:
            return (
                "pages of other sites may not send requests; allow a site with "
                "serve --allowed-host NAME"
            )
        return None


def require_json(request: Request) -> None:
    """Requires `Content-Type: application/json`, which forms of other sites cannot send.

    Raises:
      StatusError: INVALID_ARGUMENT as HTTP 415; another or no content type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise StatusError(
            "INVALID_ARGUMENT", "the request must have Content-Type: application/json", 415
        )


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _port(url: str) -> int | None:
    try:
        found = urlsplit(url)
        return found.port if found.port is not None else _PORTS.get(found.scheme)
    except ValueError:
        return -1


def _port_of(origin: str, host: str) -> int | None:
    """The port of a `Host` header, by default that of the origin's scheme."""
    return _port(f"{urlsplit(origin).scheme}://{host}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
