import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tfrec_fusion.embeddings import OpenAIEncoder, encode, make_encoder
from tfrec_fusion.errors import InputError

pytest.importorskip("openai", reason="the extra `openai` is not installed")

KEY = "sk-very-secret"
TEXTS = [f"{'long ' * row}{row}" for row in range(12)]
IDS = [str(row) for row in range(12)]


def vector(text, dims=3):
    return [float(len(text)), 1.0, float(ord(text[-1])), 2.0][:dims]


class Server(ThreadingHTTPServer):
    """Speaks the embeddings protocol; `faults` are done to the first requests, in turn."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.models, self.asked, self.keys = [], ["tiny"], [], set()
        self.requests, self.guard = 0, threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        pass  # of connections that were cut on purpose


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, content, headers=(), cut=False):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def do_GET(self):
        models = [{"id": name, "object": "model"} for name in self.server.models]
        self.answer(200, {"object": "list", "data": models})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, texts = self.server, request["input"]
        with server.guard:
            server.requests += 1
            server.keys.add(self.headers["Authorization"])
            fault = server.faults.pop(0) if server.faults else None
        if isinstance(fault, tuple):
            status, code = fault
            error = {"message": f"no, {KEY}", "code": code}
            self.answer(status, {"error": error}, [("Retry-After", "0")])
            return
        if fault == "no answer":
            self.close_connection = True
            return
        dims = 2 if fault == "wrong dims" else request.get("dimensions", 3)
        data = [
            {"object": "embedding", "index": row, "embedding": vector(text, dims)}
            for row, text in enumerate(texts)
        ]
        if fault == "wrong count":
            data.pop()
        elif fault == "wrong index":
            data[0]["index"] = data[-1]["index"]
        elif fault is None:
            with server.guard:
                server.asked += texts
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        content = {"object": "list", "model": "tiny", "data": data[::-1], "usage": usage}
        self.answer(200, content, cut=fault == "cut")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client(server, **options):
    options = {"batch_texts": 2, "first_wait": 0.001, "concurrency": 3, **options}
    return OpenAIEncoder("tiny", base_url=server.url, **options)


def test_vectors_come_in_the_order_of_the_texts(server):
    np.testing.assert_array_equal(client(server).encode(TEXTS), [vector(text) for text in TEXTS])
    assert sorted(server.asked) == sorted(TEXTS)
    assert server.requests == 6
    assert server.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "fault", [(429, None), (500, None), (503, None), (408, None), "no answer", "cut"]
)
def test_a_refusal_for_now_is_tried_again(server, fault):
    server.faults = [fault] * 4
    encoder = client(server)
    np.testing.assert_array_equal(encoder.encode(TEXTS), [vector(text) for text in TEXTS])
    assert sorted(server.asked) == sorted(TEXTS)
    assert server.requests == 10


@pytest.mark.parametrize(
    "fault", [(401, "invalid_api_key"), (429, "insufficient_quota"), (400, None)]
)
def test_a_refusal_for_good_is_not(server, fault):
    server.faults = [fault]
    with pytest.raises(InputError, match="no vectors after 1 try") as error:
        client(server, concurrency=1).encode(TEXTS)
    assert server.requests == 1
    assert KEY not in str(error.value)
    assert "\n" not in str(error.value)


def test_patience_ends(server):
    server.faults = [(500, None)] * 3
    with pytest.raises(InputError, match=r"no vectors after 3 tries.*InternalServerError"):
        client(server, concurrency=1, retries=2).encode(TEXTS)
    assert server.requests == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong dims", "must have [23] dims"),
        ("wrong count", "must return one vector per text.*1 vectors for 2 texts"),
        ("wrong index", "must return one vector per text, each with its index"),
    ],
)
def test_wrong_answers_are_refused_and_right_ones_kept(server, tmp_path, fault, message):
    server.faults = [None, fault]
    path = tmp_path / "store"
    arguments = {"ids": IDS, "progress": False}
    with pytest.raises(InputError, match=message):
        encode(TEXTS, client(server, concurrency=1), path, **arguments)
    result = encode(TEXTS, client(server, concurrency=1), path, **arguments)
    # The first request was kept, so no text was asked for twice with success.
    assert result.encoded == 10
    assert sorted(server.asked) == sorted(TEXTS)
    np.testing.assert_array_equal(result.store.values(), [vector(text) for text in TEXTS])


def test_the_key_is_written_nowhere(server, tmp_path):
    encoder = client(server)
    encode(TEXTS, encoder, tmp_path / "store", ids=IDS, progress=False)
    written = b"".join(file.read_bytes() for file in (tmp_path / "store").iterdir())
    assert KEY.encode() not in written
    assert KEY not in repr(vars(encoder))


def test_options_are_sent_and_in_the_fingerprint(server):
    encoder = client(server, dimensions=2, prompt="query: ")
    assert encoder.encode(["a"]).tolist() == [vector("query: a", 2)]
    assert server.asked == ["query: a"]
    prints = {
        encoder.fingerprint,
        client(server).fingerprint,
        client(server, prompt="q").fingerprint,
    }
    assert len(prints) == 3
    secret = OpenAIEncoder("tiny", base_url=server.url.replace("//", "//me:word@"))
    assert secret.fingerprint == client(server).fingerprint
    assert "word" not in secret.name


def test_the_estimate(server):
    # 20 and 40 bytes are about 5 and 10 tokens: 15 at $2 a million are $0.00003.
    texts = ["x" * 20, "y" * 40]
    told = client(server, price=2.0).estimate(texts)
    assert "about 15 tokens in 1 requests, about $0.0000 at $2 per million" in told
    assert "in 2 requests, price unknown" in client(server, batch_tokens=10).estimate(texts)
    listed = OpenAIEncoder("text-embedding-3-small", base_url="https://api.openai.com/v1/")
    assert "$0.02 per million" in listed.estimate(texts)


def test_a_url_names_its_model(server):
    assert make_encoder(f"{server.url}#tiny").model == "tiny"
    assert make_encoder(server.url).model == "tiny"
    server.models = ["one", "two"]
    with pytest.raises(InputError, match=r"name one of the endpoint's models.*'one', 'two'"):
        make_encoder(server.url)


def test_openai_needs_a_key_and_others_do_not(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert client(server).encode(["a"]).shape == (1, 3)
    with pytest.raises(InputError, match="set the environment variable OPENAI_API_KEY"):
        make_encoder("openai:text-embedding-3-small").encode(["a"])


@pytest.mark.parametrize("options", [{"base_url": "ftp://x"}, {"batch_texts": 0}])
def test_wrong_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        OpenAIEncoder("tiny", **options)
