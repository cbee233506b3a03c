"""Bodies of the paths beside TF Serving's."""

import asyncio
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason='needs ".[server]"')
from starlette.applications import Starlette

from tfrec_fusion.server.feedback.route import feedback_route
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.page.routes import page_routes

LIMITS = Limits(values=10)


def post(path, body):
    """Status and error of a server without models and with no place for feedback."""
    predictor = SimpleNamespace(limits=LIMITS, manager=None, done=lambda *of_request: None)
    app = Starlette(routes=[feedback_route(None, LIMITS), *page_routes(predictor)])
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])["error"]


@pytest.mark.parametrize("path", ["/feedback", "/api/models/shop/versions/1/answers"])
@pytest.mark.parametrize("part", [b"1,", b"[", b'{"a":'])
def test_a_body_of_too_many_parts_is_not_parsed(path, part):
    """The bodies are no JSON, which would be told if they were parsed."""
    assert post(path, b'{"a": [' + part * 19) == (
        400,
        "the body may have at most 20 lists, objects and members. Received: 21",
    )
    status, error = post(path, b'{"a": [' + part * 18)
    assert status == 400
    assert "the body is not JSON" in error
