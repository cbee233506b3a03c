"""What goes wrong around a server that serves: nothing wrong is answered, the old version stays."""

import json
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

SCORE = {"signature_name": "score", "inputs": {"user_id": ["ü 3"], "item_id": [["item4", "x"]]}}


class Shop:
    """A folder of versions that grows, and a server of it."""

    def __init__(self, server_process, exported, folder):
        self.exported, self.base = exported, folder / "shop"
        self.add(1)
        self.start = lambda *more: server_process(
            self.base, "--file-system-poll-wait-seconds", 0.2, *more
        )

    def add(self, version, change=lambda folder: None):
        """A version that appears at once, as an export does."""
        folder = self.base.parent / f"making-{version}"
        shutil.copytree(self.exported, folder)
        change(folder)
        self.base.mkdir(exist_ok=True)
        folder.rename(self.base / str(version))


@pytest.fixture
def shop(server_process, exported, tmp_path):
    return Shop(server_process, exported, tmp_path)


class Load:
    """Clients that ask without a pause, each on a connection of its own."""

    def __init__(self, server, clients=4):
        self.expected, self.wrong, self.count = ask(server), [], 0
        self._server, self._stop = server, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        with urllib3.PoolManager(maxsize=1) as pool:
            while not self._stop.is_set():
                try:
                    found = ask(self._server, pool)
                except Exception as error:
                    found = repr(error)
                self.count += 1
                if found != self.expected:
                    self.wrong.append(found)


def ask(server, pool=urllib3):
    answer = pool.request(
        "POST", f"{server.rest}/v1/models/shop:predict", body=json.dumps(SCORE), retries=False
    )
    return answer.status, json.loads(answer.data)


def status_of(server, version):
    answer = urllib3.request("GET", f"{server.rest}/v1/models/shop/versions/{version}")
    (found,) = answer.json()["model_version_status"]
    return found["state"], found["status"]["error_message"]


def truncate(name, left):
    def change(folder):
        (path,) = folder.glob(name)
        os.truncate(path, int(path.stat().st_size * left))

    return change


def remove(name):
    def change(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def garbage(name):
    return lambda folder: (folder / name).write_bytes(b"\x00garbage\xff" * 100)


WARMUP = "assets.extra/tf_serving_warmup_requests"


def wrong_warmup(folder):
    """A request for a signature that the version does not have."""
    from tensorflow_serving.apis import prediction_log_pb2

    from tfrec_fusion._compat import tf

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "none"
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as file:
        file.write(log.SerializeToString())


BROKEN = {
    "no variables": remove("variables"),
    "no graph": remove("saved_model.pb"),
    "no table": remove("assets/items.txt"),
    "graph cut short": truncate("saved_model.pb", 0.5),
    "variables cut short": truncate("variables/variables.data*", 0.5),
    "table cut short": truncate("assets/items.txt", 0.5),
    "card cut short": truncate("model_card.json", 0.5),
    "warm-up cut short": truncate(WARMUP, 0.5),
    "garbage graph": garbage("saved_model.pb"),
    "garbage index": garbage("variables/variables.index"),
    "garbage warm-up": garbage(WARMUP),
    "wrong warm-up": wrong_warmup,
}


@pytest.mark.acceptance
def test_broken_versions_are_refused_under_load(shop):
    with shop.start() as server, Load(server) as load:
        for version, (name, change) in enumerate(BROKEN.items(), 2):
            shop.add(version, change)
            server.wait_for(f'"event": "refused", "model": "shop", "version": {version},')
            state, error = status_of(server, version)
            assert (state, bool(error)) == ("END", True), name
            assert status_of(server, 1)[0] == "AVAILABLE"
        (shop.base / "90").mkdir()
        server.wait_for('"refused", "model": "shop", "version": 90')
        (shop.base / "91").write_text("a file")
        server.wait_for('"refused", "model": "shop", "version": 91')
        shop.add(99)
        server.wait_for('"event": "unloaded", "model": "shop", "version": 1}')
    assert load.wrong == []
    assert load.count > 50


@pytest.mark.acceptance
def test_a_version_that_is_copied_file_by_file(shop):
    """Each file appears in halves; the version is taken when all of it is there."""
    with shop.start() as server, Load(server) as load:
        target = shop.base / "2"
        for source in sorted(path for path in shop.exported.rglob("*") if path.is_file()):
            copy = target / source.relative_to(shop.exported)
            copy.parent.mkdir(parents=True, exist_ok=True)
            data = source.read_bytes()
            for end in (len(data) // 2, len(data)):
                copy.write_bytes(data[:end])
                time.sleep(0.15)
        server.wait_for('"event": "unloaded", "model": "shop", "version": 1}')
        assert status_of(server, 2)[0] == "AVAILABLE"
    assert load.wrong == []


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(15, marks=pytest.mark.acceptance),
        pytest.param(101, marks=pytest.mark.acceptance),
    ],
)
def test_many_exports_while_serving(shop, last):
    """And the memory of those that went is free again."""
    with shop.start() as server, Load(server, clients=2) as load:
        at_ten = 0
        for version in range(2, last + 1):
            shop.add(version, remove(WARMUP) if version % 10 else lambda folder: None)
            server.wait_for(f'"event": "available", "model": "shop", "version": {version}}}')
            if version == 12:
                at_ten = memory(server)
        server.wait_for(f'"event": "unloaded", "model": "shop", "version": {last - 1}}}')
        grown = memory(server) - at_ten
    assert load.wrong == []
    assert grown < 400, f"{grown} MB"


def memory(server):
    """Resident memory in MB."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


@pytest.mark.slow
def test_kill_under_load_and_start_again(shop):
    shop.add(2, BROKEN["table cut short"])
    with shop.start() as server:
        expected = ask(server)
        with Load(server) as load:
            server.wait_for('"refused"')
            while load.count < 20:
                time.sleep(0.05)
            server.stop(signal.SIGKILL)
        # What was answered until then was right.
        assert all(found == expected for found in load.wrong if isinstance(found, tuple))
    with shop.start() as server:
        assert ask(server) == expected
        assert status_of(server, 2)[0] == "END"


@pytest.mark.slow
def test_sigterm_ends_what_was_begun(shop):
    with shop.start() as server:
        expected = ask(server)
        with Load(server) as load:
            while load.count < 20:
                time.sleep(0.05)
            assert server.stop() == 0
        assert all(found == expected for found in load.wrong if isinstance(found, tuple))
        assert any('"stopped", "in_flight": 0' in line for line in server.log)


@pytest.mark.slow
def test_clients_that_stall_cut_and_send_too_much(shop):
    with shop.start("--timeout-seconds", 2) as server, Load(server, clients=2) as load:
        url = urlsplit(server.rest)
        open_ones = [socket.create_connection((url.hostname, url.port)) for _ in range(60)]
        head = (
            f"POST /v1/models/shop:predict HTTP/1.1\r\nHost: {url.netloc}\r\n"
            "Content-Length: 1000\r\n"
        ).encode()
        for number, connection in enumerate(open_ones):
            # Nothing at all, half a head, half a body, or gone in the middle of it.
            connection.sendall([b"", head[:40], head + b"\r\n{", head + b"\r\n{"][number % 4])
            if number % 4 == 3:
                connection.close()
        stalled = open_ones[2]
        stalled.settimeout(30)
        assert b" 408 " in stalled.recv(1000)
        answer = urllib3.request(
            "POST", f"{server.rest}/v1/models/shop:predict", body=b"1" * (17 << 20), retries=False
        )
        assert answer.status == 413
        with socket.create_connection((url.hostname, url.port)) as large:
            large.sendall(head.replace(b"1000", b"104857600") + b"\r\n")
            assert b" 413 " in large.recv(1000)
        before = load.count
        while load.count < before + 20:
            time.sleep(0.05)
        for connection in open_ones:
            connection.close()
    assert load.wrong == []


@pytest.mark.slow
def test_more_requests_than_allowed(shop):
    """Over both protocols each request is answered rightly or told to come again."""
    from tfrec_fusion.client import Client
    from tfrec_fusion.client.errors import ServerUnavailable

    with shop.start("--max-requests", 2, "--threads", 2) as server:
        found = {"rest": [], "grpc": []}

        def run(protocol):
            at = getattr(server, protocol)
            with Client(at, model="shop", retries=0, timeout=30) as client:
                for _ in range(30):
                    try:
                        scores = client.predict(SCORE["inputs"], "score")["score"][0]
                        found[protocol].append([round(float(score), 4) for score in scores])
                    except ServerUnavailable as error:
                        found[protocol].append(error.code)

        threads = [
            threading.Thread(target=run, args=(protocol,)) for protocol in found for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (expected,) = (
            [round(score, 4) for score in scores] for scores in ask(server)[1]["outputs"]
        )
    for answers in found.values():
        assert len(answers) == 8 * 30
        assert all(answer in (expected, "RESOURCE_EXHAUSTED") for answer in answers)
        assert "RESOURCE_EXHAUSTED" in answers
        assert expected in answers
