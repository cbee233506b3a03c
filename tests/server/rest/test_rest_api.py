"""The HTTP application without a network, on a model that is a function."""

import asyncio
import gzip
import importlib
import io
import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.metrics import PATH, Metrics
from tfrec_fusion.server.predictor import Predictor

create_app = pytest.importorskip("tfrec_fusion.server.rest.app").create_app
ASK = "/v1/models/shop:predict"


class Model:
    """Adds one; waits before it answers where it is told to."""

    name, version = "shop", 3

    def __init__(self, items=None):
        slot = TensorSlot(3, (None,))
        signature = SimpleNamespace(
            inputs={"k": slot}, outputs={"y": slot}, items=items, counts={"k"}
        )
        signature.check_times = lambda inputs: None
        self.signatures = {"serving_default": signature}
        self.go, self.held = threading.Event(), 0
        self.go.set()

    def run(self, signature, inputs, outputs=()):
        assert self.go.wait(10)
        if inputs["k"][0] == 666:
            raise RuntimeError("the secret of user 666")
        return {"y": inputs["k"] + 1}

    def hold(self):
        self.held += 1

    def release(self):
        self.held -= 1


class Site:
    """An application with a log in memory."""

    def __init__(self, items=None, **limits):
        self.model, self.stream = Model(items), io.StringIO()
        self.log, self.metrics = Log(requests=True, stream=self.stream), Metrics()
        self.predictor = Predictor(self, Limits(**limits), self.metrics, self.log, threads=4)
        self.app = create_app(self.predictor, self.log)

    @contextmanager
    def servable(self, name, version=None, label=None):
        yield self.model

    def serves(self, name):
        return name == "shop"

    async def ask(self, *parts, path=ASK, verb="POST", headers=(), after=None):
        """Status, headers and body of a request whose body comes in parts."""
        sent, parts = [], list(parts)

        async def receive():
            if parts:
                part = parts.pop(0)
                more = bool(parts) or after is not None
                return {"type": "http.request", "body": part, "more_body": more}
            if after is None:
                await asyncio.Event().wait()
            return await after()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": verb,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers],
        }
        await self.app(scope, receive, send)
        if not sent:
            return None
        body = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], dict(sent[0]["headers"]), body


def rows(*values):
    return json.dumps({"instances": values}).encode()


def error_of(answer):
    return answer[0], json.loads(answer[2])["error"]


def test_an_answer():
    site = Site()
    status, headers, body = asyncio.run(site.ask(b'{"inst', b'ances": [1]}'))
    assert (status, json.loads(body)) == (200, {"predictions": [2]})
    assert headers[b"content-type"] == b"application/json"
    assert site.model.held == 0


def test_a_body_that_says_it_is_too_large_is_not_read():
    site = Site(body_bytes=100)
    answer = asyncio.run(site.ask(headers=[("Content-Length", "101")]))
    assert error_of(answer) == (413, "the body may have at most 100 bytes")
    assert answer[1][b"connection"] == b"close"


def test_a_body_that_turns_out_to_be_too_large():
    site = Site(body_bytes=100)
    assert error_of(asyncio.run(site.ask(*[b"x" * 40] * 3)))[0] == 413


def test_a_packed_body_that_is_too_large_inside():
    """100 MB of spaces are some 100 kB."""
    packed = gzip.compress(b" " * (100 << 20))
    site = Site(body_bytes=1 << 20)
    answer = asyncio.run(site.ask(packed, headers=[("Content-Encoding", "gzip")]))
    assert error_of(answer)[0] == 413


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(rows(1))[:-3]], ids=["other", "cut"])
def test_a_packed_body_that_is_broken(body):
    answer = asyncio.run(Site().ask(body, headers=[("Content-Encoding", "gzip")]))
    assert error_of(answer)[0] == 400
    assert "the body is not gzip" in error_of(answer)[1]


def test_a_body_that_does_not_come():
    async def never():
        await asyncio.Event().wait()

    answer = asyncio.run(Site(seconds=0.05).ask(b'{"insta', after=never))
    assert error_of(answer) == (408, "the body did not arrive within 0.05 s")


def test_a_client_that_goes_away():
    async def gone():
        return {"type": "http.disconnect"}

    assert asyncio.run(Site().ask(b'{"insta', after=gone)) is None


def test_more_requests_than_allowed():
    site = Site(in_flight=2)
    site.model.go.clear()

    async def main():
        waiting = [asyncio.ensure_future(site.ask(rows(i))) for i in (1, 2)]
        while site.predictor.in_flight < 2:
            await asyncio.sleep(0)
        refused = await site.ask(rows(3))
        site.model.go.set()
        return refused, await asyncio.gather(*waiting), await site.ask(rows(3))

    refused, answered, later = asyncio.run(main())
    assert error_of(refused) == (429, "2 requests are being answered; try again later")
    assert [answer[0] for answer in (*answered, later)] == [200] * 3


def test_a_model_that_is_slower_than_the_deadline():
    site = Site(seconds=0.05)
    site.model.go.clear()

    async def main():
        answer = await site.ask(rows(1))
        # The model is still at it, and its version must not go.
        held = site.model.held
        site.model.go.set()
        return answer, held

    answer, held = asyncio.run(main())
    assert error_of(answer) == (504, "Timed out waiting for the model to answer")
    assert held == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (rows(1001), "k must be at most 1000. Received: 1001"),
        (rows(3, 0), "k must be at least 1. Received: 0"),
        (rows(-1), "k must be at least 1. Received: -1"),
        (rows(*range(101)), "k: lists may have at most 100 values. Received: 101"),
        (b'{"inputs": [[1]]}', "input k must have the shape [?] but has the shape [1,1]"),
        (b'{"inputs": 1}', "input k must have the shape [?] but has the shape []"),
    ],
)
def test_inputs_beyond_the_limits(body, says):
    answer = asyncio.run(Site(k=1000, list_length=100).ask(body))
    assert error_of(answer) == (400, says)


def test_rows_times_k_is_bounded_before_the_model_runs():
    site = Site(values=1000)
    site.model.run = None
    assert error_of(asyncio.run(site.ask(rows(*[101] * 10)))) == (
        400,
        "rows x k may be at most 1000; send fewer rows or a smaller k. Received: 10 rows x 101",
    )
    answer = asyncio.run(site.ask(rows(*[0] * 1001)))
    assert error_of(answer) == (400, "k: may have at most 1000 values in all. Received: 1001")


@pytest.mark.parametrize("part", [b"1,", b"[", b'{"a":'])
def test_a_body_of_too_many_parts_is_not_parsed(part, monkeypatch):
    module = importlib.import_module("tfrec_fusion.server.rest.rest_api")
    monkeypatch.setattr(module.JsonRequest, "parse", None)
    answer = asyncio.run(Site(values=10).ask(b'{"instances": [' + part * 19))
    assert error_of(answer) == (
        400,
        "the body may have at most 20 lists, objects and members. Received: 21",
    )


def test_k_is_cut_to_the_catalogue():
    """12 rows x 101 are more than 1000 values, 12 x 80 are not."""
    answer = asyncio.run(Site(items=80, values=1000).ask(rows(*[5, 101] * 6)))
    assert json.loads(answer[2]) == {"predictions": [6, 81] * 6}
    answer = asyncio.run(Site(items=84, values=1000).ask(rows(*[5, 101] * 6)))
    assert error_of(answer)[0] == 400


def test_the_deadline_holds_while_an_answer_is_written(monkeypatch):
    written = threading.Event()
    module = importlib.import_module("tfrec_fusion.server.rest.rest_api")
    monkeypatch.setattr(module, "_INLINE_VALUES", 0)
    monkeypatch.setattr(module, "row_body", lambda outputs: written.wait(10) and b"")

    async def main():
        answer = await Site(seconds=0.3).ask(rows(1))
        written.set()
        return answer

    assert error_of(asyncio.run(main())) == (504, "Timed out waiting for the model to answer")


def test_a_bug_says_nothing_of_the_request():
    site = Site()
    answer = asyncio.run(site.ask(rows(666)))
    assert error_of(answer) == (500, "internal error; see the log of the server")
    assert "RuntimeError" in site.stream.getvalue()
    assert "secret" not in site.stream.getvalue()


def test_the_log_of_requests():
    site = Site()
    asyncio.run(site.ask(rows(1234)))
    (line,) = map(json.loads, site.stream.getvalue().splitlines())
    assert line.pop("ms") > 0 and line.pop("time")
    assert line == {
        "event": "request",
        "entrypoint": "REST",
        "model": "shop",
        "method": "predict",
        "status": "OK",
    }


def test_the_metrics():
    site = Site()

    async def main():
        await site.ask(rows(1))
        await site.ask(b"{")
        await site.ask(rows(1), path="/v1/models/anything:classify")
        return await site.ask(path=PATH, verb="GET")

    status, _, body = asyncio.run(main())
    page = body.decode().splitlines()
    assert status == 200
    count = ":tensorflow:serving:request_count"
    assert f"# TYPE {count} counter" in page
    assert f'{count}{{model_name="shop",status="OK"}} 1' in page
    assert f'{count}{{model_name="shop",status="INVALID_ARGUMENT"}} 1' in page
    # Names that are not served are not kept.
    assert f'{count}{{model_name="",status="UNIMPLEMENTED"}} 1' in page
    labels = 'model_name="shop",API="predict",entrypoint="REST"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 1" in page
    assert f':tensorflow:serving:request_latency_bucket{{{labels},le="10"}} 0' in page
    assert f':tensorflow:serving:request_latency_bucket{{{labels},le="+Inf"}} 1' in page
    assert "tfrec_fusion_in_flight_requests{} 0" in page


def test_the_case_of_a_method_is_no_label_of_its_own():
    site = Site()

    async def main():
        for method in ("predict", "PREDICT", "pReDiCt", "Classify", "CLASSIFY"):
            await site.ask(rows(1), path=f"/v1/models/shop:{method}")
        return await site.ask(path=PATH, verb="GET")

    page = asyncio.run(main())[2].decode()
    labels = 'model_name="shop",API="predict",entrypoint="REST"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 3" in page
    assert page.count(":tensorflow:serving:request_latency_count") == 1


def test_large_bodies_go_through_threads():
    values = np.arange(1, 9001)
    status, _, body = asyncio.run(
        Site(k=10**6, values=10**9).ask(rows(*values.tolist()) + b" " * 70_000)
    )
    assert (status, json.loads(body)["predictions"][-1]) == (200, 9001)


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_what_is_left_to_tf_serving(method):
    answer = asyncio.run(Site().ask(b"{}", path=f"/v1/models/shop:{method}"))
    assert error_of(answer)[0] == 501
    assert method in error_of(answer)[1]
