"""What an export refuses, and cuts, over both protocols."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import urllib3

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.batching.batching_parameters import BatchingParameters
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.metrics import Metrics
from tfrec_fusion.server.predictor import Predictor
from tfrec_fusion.server.servable import Servable

grpc = pytest.importorskip("grpc")


def _recommend(rows=2, **changed):
    empty = np.full((rows, 1), b"", object)
    return {
        "user_id": np.full(rows, b"someone", object),
        "history": empty,
        "history_age": np.zeros((rows, 1), np.float32),
        "exclude": empty,
        "include": empty,
        "exclude_seen": np.zeros(rows, bool),
        "k": np.full(rows, 3, np.int32),
        **changed,
    }


def _plain(values):
    return json.loads(json.dumps(values.tolist(), default=bytes.decode))


@pytest.fixture(scope="module")
def ask(embedded):
    """Asks over both protocols: a function from inputs to outputs, or raises StatusError."""
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    def rest(signature, inputs):
        body = {"signature_name": signature, "inputs": {k: _plain(v) for k, v in inputs.items()}}
        path = f"{embedded.rest}/v1/models/shop:predict"
        answer = urllib3.request("POST", path, body=json.dumps(body), retries=False, timeout=30)
        found = json.loads(answer.data)
        if answer.status != 200:
            raise StatusError("UNKNOWN", found["error"], answer.status)
        outputs = found["outputs"]
        return (
            {k: np.array(v) for k, v in outputs.items()} if isinstance(outputs, dict) else outputs
        )

    with grpc.insecure_channel(embedded.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def rpc(signature, inputs):
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = "shop", signature
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(
                    values if not isinstance(values, np.ndarray) else tf.make_tensor_proto(values)
                )
            try:
                answer = stub.Predict(request, timeout=30)
            except grpc.RpcError as error:
                raise StatusError(error.code().name, error.details()) from None
            return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

        yield {"rest": rest, "grpc": rpc}


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize(
    ("name", "values", "received"),
    [
        ("history", np.array([[b"item4"]], object), 1),
        ("history_age", np.array([[3.0]], np.float32), 1),
        ("exclude", np.full((3, 1), b"", object), 3),
        ("exclude_seen", np.array([True]), 1),
        ("k", np.array([3], np.int32), 1),
        ("k", np.array([3, 3, 3, 3], np.int32), 4),
    ],
)
def test_inputs_of_another_batch_are_refused(ask, protocol, name, values, received):
    with pytest.raises(StatusError) as caught:
        ask[protocol]("recommend", _recommend(2, **{name: values}))
    assert caught.value.http == 400
    assert caught.value.message == (
        f"input {name} must have the batch size of user_id, 2. Received: {received}"
    )


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_items_of_another_batch_are_refused(ask, protocol):
    inputs = {"user_id": np.full(2, b"u", object), "item_id": np.full((1, 3), b"item4", object)}
    with pytest.raises(StatusError, match="input item_id must have the batch size of user_id, 2"):
        ask[protocol]("score", inputs)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_k_beyond_the_catalogue(ask, protocol):
    """The catalogue has 40 items; nothing of a user who is not known is left out."""
    found = ask[protocol]("recommend", _recommend(2, k=np.array([10_000, 1], np.int32)))
    assert found["item_id"].shape == (2, 40)
    few = ask[protocol]("recommend", _recommend(2, k=np.array([40, 1], np.int32)))
    np.testing.assert_array_equal(found["item_id"], few["item_id"])


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_rows_times_items_are_bounded(ask, protocol):
    """1,001 rows x 1,000 items are more than a million scores."""
    inputs = {"user_id": np.full(1001, b"", object), "item_id": np.full((1001, 1000), b"", object)}
    with pytest.raises(StatusError, match="item_id: may have at most 1000000 values") as caught:
        ask[protocol]("score", inputs)
    assert caught.value.http == 400


PAIR = rb"\ud83d\udca9"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("v1/models/shop:predict", b'{"instances": ["' + PAIR + b' "' + rb"\"" * 150_000 + b'"]}'),
        ("v1/models/shop:predict", b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("v1/models/shop:predict", b'{"instances": [' + b"9" * 5000 + b"]}"),
        ("v1/models/shop:predict", b'{"instances": ["a' + PAIR[:6] + b'"]}'),
        (
            "feedback",
            b'{"events": [{"kind": "click", "model": "shop", "version": 1, "position": 1, '
            b'"item_id": "a", "user_id": "' + PAIR[:6] + b'"}]}',
        ),
    ],
    ids=["quotes behind a pair", "depth", "digits", "half a pair", "half a pair as feedback"],
)
def test_hostile_bodies(embedded, path, body):
    headers = {"Content-Type": "application/json"}
    answer = urllib3.request(
        "POST", f"{embedded.rest}/{path}", body=body, headers=headers, retries=False, timeout=30
    )
    assert answer.status == 400
    assert list(json.loads(answer.data)) == ["error"]
    assert not any("Traceback" in line or '"bug"' in line for line in embedded.log)


@pytest.mark.parametrize("dtype", [20, 21, 99])
def test_tensors_without_values(ask, embedded, dtype):
    handle = tf.make_tensor_proto(0)
    handle.dtype = dtype
    with pytest.raises(StatusError, match="input user_id: no values of") as caught:
        ask["grpc"]("serving_default", {"user_id": handle})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert not any("Traceback" in line for line in embedded.log)


@pytest.mark.parametrize("method", ["Predict", "GetModelMetadata"])
def test_messages_that_cannot_be_read(embedded, method):
    with grpc.insecure_channel(embedded.grpc) as channel:
        call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff no message", timeout=30)
    assert caught.value.code().name == "INVALID_ARGUMENT"
    assert not any("Traceback" in line for line in embedded.log)


def test_all_of_the_catalogue_is_ranked_for_so_many_rows():
    """40 items x 5 rows are 200 scores; serving_default ranks the catalogue, score does not."""
    limits, user = Limits(scores=199), {"user_id": np.full(5, b"u", object)}
    with pytest.raises(StatusError, match=r"at most 199 pairs .* Received: 5 rows x 40 items"):
        limits.checked(user, {"item_id", "score"}, 40)
    with pytest.raises(StatusError, match="5 rows x 40 items"):
        limits.checked({"item_id": user["user_id"]}, {"similar_id", "score"}, 40)
    assert limits.checked(user, {"vector"}, 40) is user
    assert limits.checked(user, {"item_id", "score"}) is user


def test_another_input_that_says_how_many_are_asked_for_has_the_bounds_of_k():
    limits, given = Limits(k=7), {"top": np.array([8], np.int32)}
    with pytest.raises(StatusError, match=r"top must be at most 7\. Received: 8"):
        limits.checked(given, {}, counts=["top"])
    assert limits.checked(given, {}) is given
    # An audience is of users, who may be more than the items.
    assert limits.checked({"k": np.array([6])}, {"user_id"}, items=5)["k"].tolist() == [6]
    assert limits.checked({"top": np.array([6])}, {}, 5, ["top"])["top"].tolist() == [5]


BATCHING = BatchingParameters(timeout=60, max_batch_size=64)


@pytest.mark.parametrize(
    ("signature", "batching"),
    [
        ("recommend", BATCHING),
        pytest.param("recommend", None, marks=pytest.mark.slow),
        pytest.param("serving_default", BATCHING, marks=pytest.mark.slow),
        pytest.param("serving_default", None, marks=pytest.mark.slow),
    ],
)
def test_a_request_without_rows_is_answered_at_once(exported, batching, signature):
    servable = Servable("shop", 1, exported)
    log = Log(stream=io.StringIO())
    predictor = Predictor(SimpleNamespace(), Limits(), Metrics(), log, batching)
    inputs = {name: _recommend(0)[name] for name in servable.signatures[signature].inputs}
    try:
        found = predictor.predict_here(servable, signature, inputs)
        assert {len(values) for values in found.values()} == {0}
    finally:
        predictor.close()
        servable.retire()


def test_errors_of_the_graph_name_no_nodes(zoo):
    servable = Servable("zoo", 1, zoo.with_name("zoo") / "1")
    wrong = {
        "divide": (
            {"x": np.ones(3, np.float32), "z": np.ones(2, np.float32)},
            "Incompatible shapes: [3] vs. [2]",
        ),
        "refuse": (
            {"n": np.array([-1], np.int32)},
            "assertion failed: [n must be positive.  ] "
            "[Condition x > 0 did not hold element-wise:] [x = ] [-1]",
        ),
    }
    for signature, (inputs, says) in wrong.items():
        with pytest.raises(StatusError) as caught:
            servable.run(signature, inputs)
        assert caught.value.message == says
    servable.retire()
