"""A server with a key, TLS, batching and feedback, from its start to its end."""

import json
import shutil
import signal
import subprocess
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import urllib3

from tfrec_fusion.client import Client
from tfrec_fusion.client.errors import ServerUnavailable, Unauthenticated

grpc = pytest.importorskip("grpc")
pytestmark = pytest.mark.slow

KEY = "a key"
ASK = {"signature_name": "item_vector", "instances": ["item4"]}
CLICK = {
    "kind": "click",
    "model": "shop",
    "version": 1,
    "user_id": "ü 3",
    "item_id": "item4",
    "position": 2,
}


@pytest.fixture(scope="module")
def closed(server_process, exported, tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("closed")
    chain, private = folder / "chain.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(
        [*command.split(), *names, "-keyout", private, "-out", chain],
        check=True,
        capture_output=True,
    )
    (folder / "api_key").write_text(f"{KEY}\n")
    parameters = folder / "batching_parameters.txt"
    parameters.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 4")
    server = server_process(
        exported.parent,
        *("--api-key-file", folder / "api_key"),
        *("--tls-certificate", chain, "--tls-key", private),
        *("--feedback-dir", folder / "feedback"),
        *("--batching-parameters-file", parameters),
        *("--grace-seconds", 1),
        "--log-requests",
    )
    with server, urllib3.PoolManager(ca_certs=str(chain)) as pool:
        yield SimpleNamespace(server=server, pool=pool, chain=chain, folder=folder)


def post(closed, path, document, key=KEY, kind="application/json"):
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if kind is not None:
        headers["Content-Type"] = kind
    body = json.dumps(document)
    return closed.pool.request("POST", closed.server.rest + path, body=body, headers=headers)


def test_with_the_key(closed):
    answer = post(closed, "/v1/models/shop:predict", ASK)
    assert answer.status == 200
    assert len(answer.json()["predictions"][0]) > 4


@pytest.mark.parametrize("key", [None, "another"])
@pytest.mark.parametrize("path", ["/v1/models/shop:predict", "/feedback", "/", "/nowhere"])
def test_without_the_key(closed, key, path):
    answer = post(closed, path, ASK, key)
    assert answer.status == 401
    assert answer.json() == {"error": "the API key is missing or wrong"}


def test_the_page_is_open_and_what_it_asks_is_not(closed):
    for path, status in (("/", 200), ("/page/app.js", 200), ("/api/models", 401)):
        assert closed.pool.request("GET", closed.server.rest + path).status == status


def test_another_server_of_the_feedback_and_a_certificate_that_is_none(
    server_process, exported, closed
):
    private = closed.folder / "key.pem"
    for options, says in (
        (("--feedback-dir", closed.folder / "feedback"), "serve: another server writes feedback"),
        (("--tls-certificate", private, "--tls-key", private), "serve: "),
    ):
        with pytest.raises(RuntimeError, match="did not start") as caught:
            server_process(exported.parent, *options)
        told = str(caught.value)
        assert told.count("error: ") == 1 and f"error: {says}" in told
        assert "Traceback" not in told


def test_as_the_page_of_another_site(closed):
    address, key = closed.server.rest, {"X-API-Key": KEY}
    for method, path in (("GET", "/api/models"), ("GET", "/v1/models/shop"), ("POST", "/feedback")):
        for name, value in (("Host", "evil.example"), ("Origin", "https://evil.example")):
            headers = key | {name: value, "Content-Type": "application/json"}
            answer = closed.pool.request(method, address + path, headers=headers, body=b"")
            assert answer.status == 403
    # What `curl -d` sends.
    kind = "application/x-www-form-urlencoded"
    assert post(closed, "/v1/models/shop:predict", ASK, kind=kind).status == 200


def test_without_tls(closed):
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", closed.server.rest.replace("https", "http"), retries=False)
    with pytest.raises(urllib3.exceptions.SSLError), urllib3.PoolManager() as strangers:
        strangers.request("GET", closed.server.rest, retries=False)
    assert closed.server.rest.startswith("https://127.0.0.1:")


def test_over_grpc(closed):
    from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

    credentials = grpc.ssl_channel_credentials(closed.chain.read_bytes())
    with grpc.secure_channel(closed.server.grpc, credentials) as channel:
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "shop"
        found = status(request, metadata=[("x-api-key", KEY)], timeout=20)
        assert found.model_version_status[0].version == 1
        for metadata in ([], [("authorization", "Bearer another")]):
            with pytest.raises(grpc.RpcError) as caught:
                status(request, metadata=metadata, timeout=20)
            assert caught.value.code().name == "UNAUTHENTICATED"


def test_grpc_without_a_deadline(closed):
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "shop", "item_vector"
    tensor = request.inputs["item_id"]
    tensor.dtype, tensor.string_val[:] = 7, [b"item4"]
    tensor.tensor_shape.dim.add(size=1)
    credentials = grpc.ssl_channel_credentials(closed.chain.read_bytes())
    with grpc.secure_channel(closed.server.grpc, credentials) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(request, metadata=[("x-api-key", KEY)])
    assert answer.outputs["vector"].tensor_shape.dim[0].size == 1


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_client(closed, protocol, caplog):
    caplog.set_level("DEBUG")
    address = getattr(closed.server, protocol)
    tls = {"tls": protocol == "grpc", "ca_certs": closed.chain}
    with Client(address, model="shop", timeout=20, api_key=KEY, **tls) as client:
        assert len(client.recommend(["ü 3"], k=4)) == 4
        assert client.status()["state"].tolist() == ["AVAILABLE"]
    for key in (None, "another"):
        with (
            Client(address, model="shop", timeout=20, api_key=key, **tls) as client,
            pytest.raises(Unauthenticated, match="the API key is missing or wrong") as caught,
        ):
            client.recommend(["ü 3"])
        assert (caught.value.code, caught.value.attempts) == ("UNAUTHENTICATED", 1)
        assert key is None or key not in str(caught.value)
    strangers = {**tls, "ca_certs": None}
    with (
        Client(address, model="shop", retries=0, timeout=20, api_key=KEY, **strangers) as client,
        pytest.raises(ServerUnavailable, match=r"(?i)certificate.verify.failed"),
    ):
        client.status()
    assert KEY not in caplog.text


def test_feedback_is_kept_when_the_server_stops(closed):
    """Runs last in this file: it ends the server."""
    assert post(closed, "/feedback", {"events": [CLICK]}).status == 202
    closed.server.process.send_signal(signal.SIGHUP)
    closed.server.wait_for("feedback_written")
    answer = post(closed, "/feedback", {"events": [CLICK, {**CLICK, "kind": "impression"}]})
    assert (answer.status, answer.json()) == (202, {"accepted": 2})
    for kind in (None, "text/plain"):
        assert post(closed, "/feedback", {"events": [CLICK]}, kind=kind).status == 415
    answer = post(closed, "/feedback", {"events": [{**CLICK, "kind": "look"}]})
    assert answer.status == 400
    assert "kind must be one of" in answer.json()["error"]
    assert closed.server.stop() == 0
    # Names of one second come in any order.
    files = (closed.folder / "feedback").glob("events-*.parquet")
    sizes = {pq.read_metadata(file).num_rows: file for file in files}
    assert sorted(sizes) == [1, 2]
    path = sizes[2]
    rows = pq.read_table(path).to_pylist()
    assert [row["kind"] for row in rows] == ["click", "impression"]
    assert {key: rows[0][key] for key in CLICK} == CLICK
    log = "".join(closed.server.log)
    assert '"event": "request"' in log
    assert "ü 3" not in log and "item4" not in log and KEY not in log
