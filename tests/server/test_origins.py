import asyncio
import json

import pytest

pytest.importorskip("starlette", reason='needs ".[server]"')
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.api_key import open_to_all
from tfrec_fusion.server.origins import GuardedApp, Hosts, require_json


@open_to_all
def shown(request):
    return PlainTextResponse("a page")


def told(request):
    return PlainTextResponse("data")


def ask(path="/data", method="GET", headers=(), host="127.0.0.1", allowed=()):
    routes = Starlette(
        routes=[Route("/", shown), Route("/data", told, methods=["GET", "POST", "OPTIONS"])]
    )
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(GuardedApp(routes, routes, Hosts(host, allowed))(scope, receive, send))
    if sent[0]["status"] == 403:
        assert "--allowed-host" in json.loads(sent[1]["body"])["error"]
    return sent[0]["status"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8501",
        "127.0.0.1:8501",
        "[::1]:8501",
        # A pod or a scrape by address: no name leads there.
        "10.1.2.3:8501",
        "[fd00::7]",
        "shop.internal:80",
        "recommend.example.com.",
    ],
)
def test_hosts_of_the_server(host):
    allowed = ["recommend.example.com"]
    assert ask(headers=[("host", host)], host="shop.internal", allowed=allowed) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:8501@evil.example",
        "",
        "[",
        "ü.example",
    ],
)
@pytest.mark.parametrize("path", ["/", "/data", "/nowhere"])
def test_other_hosts_get_nothing(host, path):
    assert ask(path, headers=[("host", host)]) == 403


def test_without_a_host_and_with_two():
    assert ask() == 200
    assert ask(headers=[("host", "localhost"), ("host", "evil.example")]) == 403


def test_all_hosts():
    assert ask(headers=[("host", "evil.example")], allowed=["*"]) == 200


@pytest.mark.parametrize("name", ["", "http://shop", "shop:8501", "a b", "shop/"])
def test_names_that_are_none(name):
    with pytest.raises(InputError, match="--allowed-host must be a name"):
        Hosts("127.0.0.1", [name])


HERE = ("host", "localhost:8501")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),  # no browser
        ([("sec-fetch-site", "same-origin")], 200),
        ([("sec-fetch-site", "none")], 200),
        ([("origin", "http://localhost:8501"), ("sec-fetch-site", "same-origin")], 200),
        ([("sec-fetch-site", "cross-site")], 403),
        ([("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")], 403),
        ([("origin", "http://evil.example")], 403),
        ([("origin", "http://localhost:3000")], 403),  # another server of this machine
        ([("origin", "http://localhost")], 403),
        ([("origin", "http://127.0.0.1:8501")], 403),
        ([("origin", "null")], 403),
        ([("origin", "http://[")], 403),
        ([("origin", "https://shop.example"), ("sec-fetch-site", "cross-site")], 200),
    ],
)
def test_pages_of_other_sites(method, headers, status):
    assert ask(method=method, headers=[HERE, *headers], allowed=["shop.example"]) == status


def test_a_default_port():
    for origin, status in (("http://127.0.0.1", 200), ("https://127.0.0.1", 200)):
        assert ask(headers=[("host", "127.0.0.1"), ("origin", origin)]) == status
    assert ask(headers=[("host", "127.0.0.1"), ("origin", "http://127.0.0.1:8080")]) == 403


def test_the_page_can_be_come_to_from_anywhere_and_a_preflight_holds_nothing():
    foreign = [HERE, ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")]
    assert ask("/", headers=foreign) == 200
    assert ask(method="OPTIONS", headers=foreign) == 200


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("application/jsonp", False),
        (None, False),
    ],
)
def test_json_is_declared(kind, taken):
    headers = [] if kind is None else [(b"content-type", kind.encode())]
    request = Request({"type": "http", "headers": headers})
    if taken:
        require_json(request)
        return
    with pytest.raises(StatusError, match="Content-Type: application/json") as caught:
        require_json(request)
    assert caught.value.http == 415
