import asyncio
import base64

import pytest

pytest.importorskip("starlette", reason='needs ".[server]"')
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tfrec_fusion.errors import InputError
from tfrec_fusion.server.api_key import ApiKey, KeyedApp, open_to_all

KEY = ApiKey("s3cret: käse".encode("ascii", "ignore").decode())


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("headers", "matches"),
    [
        ([("x-api-key", "s3cret: kse")], True),
        ([("x-api-key", b"s3cret: kse")], True),
        ([("authorization", "Bearer s3cret: kse")], True),
        ([("authorization", "bearer  s3cret: kse")], True),
        ([("accept", "*"), ("authorization", basic("anyone:s3cret: kse"))], True),
        ([("x-api-key", "wrong"), ("authorization", "Bearer s3cret: kse")], True),
        ([], False),
        ([("x-api-key", "")], False),
        ([("x-api-key", "s3cret")], False),
        ([("x-api-key", "s3cret: kse ")], False),
        ([("x-api-key", "ü")], False),
        ([("cookie", "s3cret: kse")], False),
        ([("authorization", "s3cret: kse")], False),
        ([("authorization", "Basic !")], False),
        ([("authorization", basic("s3cret"))], False),
    ],
)
def test_who_may_ask(headers, matches):
    assert KEY.matches(headers) is matches


@pytest.mark.parametrize("key", ["", " x", "käse"])
def test_keys_that_are_refused(key):
    with pytest.raises(InputError, match="the API key must be ASCII"):
        ApiKey(key)


def told(request):
    return PlainTextResponse("a secret")


@open_to_all
def shown(request):
    return PlainTextResponse("a page")


def ask(path, method="GET", headers=()):
    """Status, headers and body, of an application with open and closed routes."""
    routes = [
        Route("/closed", told),
        Route("/", shown, methods=["GET"]),
        Route("/page/{name}", shown, methods=["GET"]),
        Mount("/below", routes=[Route("/open", shown)]),
        # Too late to open what is closed above.
        Route("/closed", shown),
    ]
    app, sent = KeyedApp(Starlette(routes=routes), KEY), []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("asked", ["GET /", "HEAD /", "GET /page/x.js"])
def test_open_routes_need_no_key(asked):
    method, path = asked.split()
    assert ask(path, method)[0] == 200


@pytest.mark.parametrize(
    "asked",
    [
        "GET /closed",
        "POST /closed",
        "POST /",
        "GET //",
        "GET /nowhere",
        "GET /page/",
        "GET /page/a/b",
        "GET /page/../closed",
        "GET /below/open",
    ],
)
def test_the_others_do(asked):
    method, path = asked.split()
    status, headers, body = ask(path, method)
    assert (status, headers[b"www-authenticate"][:5]) == (401, b"Basic")
    assert body == b'{\n    "error": "the API key is missing or wrong"\n}'
    assert ask(path, method, [("x-api-key", "wrong")])[0] == 401
    assert ask(path, method, [("x-api-key", "s3cret: kse")])[0] != 401


def test_a_script_is_not_answered_by_a_window_of_the_browser():
    headers = ask("/closed", "GET", [("x-requested-with", "XMLHttpRequest")])[1]
    assert headers[b"www-authenticate"] == b'Bearer realm="tfrec-fusion"'
