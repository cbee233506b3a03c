"""Which pages of a browser may ask: those of this server, under a name that is its own."""

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
    """The names under which a server may be asked.

    A browser that a foreign name leads here, by DNS rebinding, sends that name as `Host`. Loopback,
    the address listened at, and any IP address are no such names: an address leads nowhere else.

    Args:
      host: the address listened at.
      allowed: further names, without ports; "*" allows all.

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
        """Whether a `Host` header, with or without a port, is one of them."""
        name = _name(f"//{host}")
        return "*" in self._given or name in self._names or _is_address(name)

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may ask `host`: one of this server, or of an allowed name."""
        name = _name(origin)
        if "*" in self._given or name in self._given:
            return True
        return bool(name) and name == _name(f"//{host}") and _port(origin) == _port_of(origin, host)


class GuardedApp:
    """An application that refuses foreign hosts and what other sites' pages ask for.

    What is `open_to_all`, as a page, can be come to from anywhere.
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
            return "the host is not one of this server's; serve --allowed-host NAME allows it"
        # A preflight changes nothing and holds nothing.
        if scope["method"] == "OPTIONS" or is_open(self._routes, scope):
            return None
        foreign = any(
            not self._hosts.allows_origin(origin, hosts[0] if hosts else "")
            for origin in found.get(b"origin", [])
        )
        # A page of an allowed host is cross-site too, and says by its origin which it is.
        cross = "cross-site" in found.get(b"sec-fetch-site", []) and b"origin" not in found
        if foreign or cross:
            return "pages of other sites may not ask; serve --allowed-host NAME allows a site"
        return None


def require_json(request: Request) -> None:
    """Refuses a body that is not declared as JSON, as the forms of other sites cannot be.

    Raises:
      StatusError: INVALID_ARGUMENT as HTTP 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise StatusError(
            "INVALID_ARGUMENT", "the header must be there: Content-Type: application/json", 415
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
    """The port of a `Host` header, that of the origin's scheme where it names none."""
    return _port(f"{urlsplit(origin).scheme}://{host}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
