"""What TF Serving answers over REST, from its documentation and source.

Each case names where it is from: "doc" is g3doc/api_rest.md, "json" util/json_tensor.cc and its
test, "http" model_servers/http_rest_api_handler.cc, http_rest_api_util.cc and their tests, "server"
model_servers/http_server.cc and util/net_http, "predict" servables/tensorflow/predict_util.cc.
"""

import gzip
import json
from dataclasses import dataclass
from typing import Any

ZOO = "/v1/models/zoo"
PREDICT = f"{ZOO}:predict"


@dataclass(frozen=True)
class Case:
    """A request and its answer.

    Attributes:
      body: bytes, text, or something to be written as JSON.
      answer: equal to the JSON of the answer.
      error: part of its "error".
      text: part of its text.
    """

    name: str
    source: str
    verb: str
    path: str
    body: Any = b""
    status: int = 200
    answer: Any = None
    error: str | None = None
    text: str | None = None
    headers: tuple = ()

    @property
    def data(self):
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def bad(name, source, verb, path, error, status=400, body=b""):
    return Case(name, source, verb, path, body, status, error=error)


def refused(name, body, error, status=400, source="json", path=PREDICT):
    return Case(name, source, "POST", path, body, status, error=error)


def given(name, body, answer, source="json", path=PREDICT):
    return Case(name, source, "POST", path, body, 200, answer)


def ask(signature, **rest):
    return {"signature_name": signature, **rest}


_STATUS = {"error_code": "OK", "error_message": ""}
_ONE = {"version": "1", "state": "AVAILABLE", "status": _STATUS}
_TWO = {"version": "2", "state": "AVAILABLE", "status": _STATUS}
_ROUTES = [
    bad("unknown api", "http", "GET", "/v1/foo", "Malformed request: GET /v1/foo"),
    bad("post to unknown api", "http", "POST", "/v1/foo", "Malformed request: POST /v1/foo"),
    bad("models without a name", "http", "GET", "/v1/models", "Missing model name"),
    bad("model with a further part", "http", "GET", f"{ZOO}/debug", "Malformed request"),
    bad("post to models", "http", "POST", "/v1/models", "Malformed request"),
    bad("get a prediction", "http", "GET", PREDICT, "Malformed request"),
    bad("version, not versions", "http", "GET", f"{ZOO}/version/1:predict", "Malformed request"),
    bad("post to version", "http", "POST", f"{ZOO}/version/1:predict", "Malformed request"),
    bad("version in words", "http", "POST", f"{ZOO}/versions/HELLO:predict", "Malformed request"),
    bad("negative version", "http", "POST", f"{ZOO}/versions/-1:predict", "Malformed request"),
    bad(
        "version beyond 64 bits",
        "http",
        "POST",
        f"{ZOO}/versions/{2**64 - 1}:predict",
        "Failed to convert version",
    ),
    bad(
        "version of 5,000 digits",
        "http",
        "POST",
        f"{ZOO}/versions/{'9' * 5000}:predict",
        "Failed to convert version",
    ),
    bad("post to metadata", "http", "POST", f"{ZOO}/metadata", "Malformed request"),
    bad("label, not labels", "http", "POST", f"{ZOO}/label/stable:predict", "Malformed request"),
    bad(
        "version and label",
        "http",
        "POST",
        f"{ZOO}/versions/1/labels/stable:predict",
        "Malformed request",
    ),
    bad("unknown method", "http", "POST", f"{ZOO}:explain", "Malformed request"),
    bad("put", "server", "PUT", PREDICT, "Malformed request: PUT"),
    bad("delete", "server", "DELETE", ZOO, "Malformed request: DELETE"),
    Case("path outside", "server", "GET", "/nothing/here", status=404),
    bad(
        "model that is not served",
        "doc",
        "POST",
        "/v1/models/half:predict",
        "Servable not found for request: Latest(half)",
        404,
        {"instances": [1.0, 5.0]},
    ),
    bad(
        "version that is not served",
        "http",
        "POST",
        f"{ZOO}/versions/99:predict",
        "Servable not found for request: Specific(zoo, 99)",
        404,
        {"instances": [1]},
    ),
    bad(
        "label that is not known",
        "http",
        "POST",
        f"{ZOO}/labels/none:predict",
        "Unrecognized servable version label: none",
        400,
        {"instances": [1]},
    ),
    bad("status of an unknown model", "http", "GET", "/v1/models/half", "Could not find", 404),
    bad(
        "status of an unknown version",
        "http",
        "GET",
        f"{ZOO}/versions/99",
        "Could not find version 99 of model zoo",
        404,
    ),
    bad(
        "metadata of an unknown model",
        "http",
        "GET",
        "/v1/models/half/metadata",
        "Servable not found for request: Latest(half)",
        404,
    ),
    Case("preflight", "server", "OPTIONS", PREDICT, headers=(("Origin", "http://shop.example"),)),
    Case("preflight without origin", "server", "OPTIONS", PREDICT, status=400),
]

_MODELS = [
    Case("status", "doc", "GET", ZOO, answer={"model_version_status": [_TWO, _ONE]}),
    Case(
        "status of a version",
        "doc",
        "GET",
        f"{ZOO}/versions/1",
        answer={"model_version_status": [_ONE]},
    ),
    Case(
        "path in capitals",
        "http",
        "GET",
        "/V1/MODELS/zoo",
        answer={"model_version_status": [_TWO, _ONE]},
    ),
    Case(
        "escaped name",
        "http",
        "GET",
        "/v1/models/z%6Fo",
        answer={"model_version_status": [_TWO, _ONE]},
    ),
    Case(
        "query is not read",
        "server",
        "GET",
        f"{ZOO}?x=1",
        answer={"model_version_status": [_TWO, _ONE]},
    ),
    Case("status as text", "doc", "GET", ZOO, text='   "version": "2",\n   "state": "AVAILABLE",'),
    Case(
        "metadata",
        "http",
        "GET",
        f"{ZOO}/metadata",
        text='"method_name": "tensorflow/serving/predict"',
    ),
    Case(
        "metadata of a version", "http", "GET", f"{ZOO}/versions/1/metadata", text='"version": "1"'
    ),
    Case(
        "metadata of a label", "http", "GET", f"{ZOO}/labels/canary/metadata", text='"version": "2"'
    ),
    Case("metadata has types", "http", "GET", f"{ZOO}/metadata", text='"dtype": "DT_STRING"'),
]

_DOCUMENTS = [
    refused("empty body", b"", "JSON Parse error"),
    refused("spaces only", b"  \n", "JSON Parse error"),
    refused("no json", b"instances = [1, 2]", "JSON Parse error"),
    refused("unknown word", b'{"instances": [nul]}', "JSON Parse error"),
    refused("open list", b'{"instances": [1', "JSON Parse error"),
    refused("no comma in a list", b'{"instances": [1 2]}', "JSON Parse error"),
    refused("no comma in an object", b'{"a": 1 "b": 2}', "JSON Parse error"),
    refused("no colon", b'{"a" 1}', "JSON Parse error"),
    refused("no name", b"{1: 2}", "JSON Parse error"),
    refused("open string", b'{"a', "JSON Parse error"),
    refused("bad escape", b'{"a": "\\x"}', "JSON Parse error"),
    refused("bad unicode escape", b'{"a": "\\uZZZZ"}', "JSON Parse error"),
    refused("half a pair", b'{"a": "\\ud83d"}', "JSON Parse error"),
    refused("lone low surrogate", b'{"a": "\\ude00"}', "JSON Parse error"),
    refused("surrogates in the wrong order", b'{"a": "\\ude00\\ud83d"}', "JSON Parse error"),
    refused(
        "number too big beside a text",
        b'{"a": "Infinity", "instances": [1e400]}',
        "JSON Parse error",
    ),
    refused("unused number too big", b'{"a": -1e400, "instances": [1]}', "JSON Parse error"),
    refused("integer of 400 digits", b'{"instances": [' + b"9" * 400 + b"]}", "JSON Parse error"),
    refused(
        "integer of 5,000 digits", b'{"instances": [' + b"9" * 5000 + b"]}", "JSON Parse error"
    ),
    refused("number too big", b'{"instances": [1e999]}', "JSON Parse error"),
    refused("list at the top", b"[1, 2]", "bject"),
    refused("text at the top", b'"x"', "bject"),
    given("what follows is not read", b'{"instances": [2.0]}X)', {"predictions": [4.0]}),
    given("byte order mark", b'\xef\xbb\xbf{"instances": [2.0]}', {"predictions": [4.0]}),
    given("further keys", b'{"a": {"b": [null]}, "instances": [2]}', {"predictions": [4.0]}),
    given(
        "Inf and NaN",
        b'{"instances": [Infinity, -Infinity]}',
        {"predictions": [float("inf"), float("-inf")]},
    ),
    Case(
        "packed",
        "server",
        "POST",
        PREDICT,
        gzip.compress(b'{"instances": [2.0]}'),
        200,
        {"predictions": [4.0]},
        headers=(("Content-Encoding", "gzip"),),
    ),
    refused("neither key", {}, "Missing 'inputs' or 'instances' key"),
    refused(
        "both keys",
        {"instances": [1], "inputs": [1]},
        "only one of 'inputs' or 'instances' keys",
    ),
    refused(
        "signature is a number",
        {"signature_name": 100},
        "'signature_name'",
    ),
    refused(
        "unknown signature",
        ask("none", instances=[1]),
        'Serving signature name: "none" not found in signature def',
    ),
    refused("instances is no list", {"instances": 1}, "Expecting 'instances' to be an list/array"),
    refused("no instances", {"instances": []}, "No values in 'instances' array"),
    bad(
        "json before model",
        "http",
        "POST",
        "/v1/models/half:predict",
        "JSON Parse error",
        400,
        b"{",
    ),
]

PATH_CASES = [*_ROUTES, *_MODELS, *_DOCUMENTS]
