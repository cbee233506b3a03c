"""TF Serving's two interfaces over loopback, on a SavedModel in this process, with faults."""

import base64
import json
import socket
import threading
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfrec_fusion._compat import tf


class Backend:
    """A model with versions and labels, and the faults of the next requests.

    Attributes:
      faults: gRPC status names (or "reset") with which the next predictions end, in order.
      batches: rows of each request that was answered.
      delay: an event that holds answers back until it is set.
    """

    def __init__(self, version):
        from tensorflow.core.protobuf import saved_model_pb2

        self.loaded = tf.saved_model.load(str(version))
        saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
        self.signature_def = saved.meta_graphs[0].signature_def
        self.faults, self.batches, self.specs = [], [], []
        self.connections, self.delay = set(), None

    def fault(self):
        if self.delay is not None:
            self.delay.wait(10)
        return self.faults.pop(0) if self.faults else None

    def check(self, name, version, label):
        self.specs.append((name, version, label))
        if name != "shop" or version not in (None, 1) or label not in (None, "stable"):
            return "NOT_FOUND", f"Servable not found for request: {name}"
        return None

    def run(self, signature, inputs):
        """Outputs, or (status, message)."""
        if signature not in self.loaded.signatures:
            return "INVALID_ARGUMENT", f"no signature {signature}"
        specs = self.signature_def[signature].inputs
        if set(inputs) != set(specs):
            return "INVALID_ARGUMENT", f"inputs must be {sorted(specs)}"
        tensors = {name: tf.constant(v, specs[name].dtype) for name, v in inputs.items()}
        self.batches.append(len(next(iter(tensors.values()))))
        if self.batches[-1] > 64:
            return "INVALID_ARGUMENT", "the batch is larger than max_batch_size"
        found = self.loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in found.items()}


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, backend):
        self.backend = backend

    def Predict(self, request, context):  # noqa: N802
        self.backend.connections.add(context.peer())
        _check(self.backend, request.model_spec, context)
        fault = self.backend.fault()
        if fault:
            context.abort(grpc.StatusCode[fault], f"injected {fault}")
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        found = self.backend.run(request.model_spec.signature_name, inputs)
        if isinstance(found, tuple):
            context.abort(grpc.StatusCode[found[0]], found[1])
        answer = predict_pb2.PredictResponse()
        for name, value in found.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request, context):  # noqa: N802
        _check(self.backend, request.model_spec, context)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(_signature_map(self.backend))
        return answer


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, backend):
        self.backend = backend

    def GetModelStatus(self, request, context):  # noqa: N802
        _check(self.backend, request.model_spec, context)
        return _status()


def _check(backend, spec, context):
    version = spec.version.value if spec.HasField("version") else None
    wrong = backend.check(spec.name, version, spec.version_label or None)
    if wrong:
        context.abort(grpc.StatusCode[wrong[0]], wrong[1])


def _signature_map(backend):
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in backend.signature_def.items():
        found.signature_def[name].CopyFrom(signature)
    return found


def _status():
    answer = get_model_status_pb2.GetModelStatusResponse()
    for version, state in ((2, "LOADING"), (1, "AVAILABLE")):
        value = get_model_status_pb2.ModelVersionStatus.State.Value(state)
        answer.model_version_status.add(version=version, state=value)
    return answer


_HTTP = {
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}


def _handler(backend):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            if not self._found():
                return
            if self.path.endswith("/metadata"):
                found = json_format.MessageToDict(
                    _signature_map(backend), preserving_proto_field_name=True
                )
                self._answer(200, {"metadata": {"signature_def": found}})
            else:
                found = json_format.MessageToDict(_status(), preserving_proto_field_name=True)
                self._answer(200, found)

        def do_POST(self):
            backend.connections.add(self.client_address)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self._found():
                return
            fault = backend.fault()
            if fault == "reset":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if fault:
                self._answer(_HTTP[fault], {"error": f"injected {fault}"})
                return
            inputs = {name: _binary(value) for name, value in body["inputs"].items()}
            found = backend.run(body["signature_name"], inputs)
            if isinstance(found, tuple):
                self._answer(_HTTP[found[0]], {"error": found[1]})
                return
            outputs = {name: _text(value.tolist()) for name, value in found.items()}
            if len(outputs) == 1:
                (outputs,) = outputs.values()
            self._answer(200, {"outputs": outputs})

        def _found(self):
            parts = self.path.split(":")[0].split("/")[3:]
            kinds = dict(zip(parts[1::2], parts[2::2], strict=False))
            version = int(kinds["versions"]) if "versions" in kinds else None
            wrong = backend.check(parts[0], version, kinds.get("labels"))
            if wrong:
                self._answer(_HTTP[wrong[0]], {"error": wrong[1]})
            return not wrong

        def _answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _binary(value):
    if isinstance(value, list):
        return [_binary(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _text(value):
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def grpc_server(backend):
    """The address of a gRPC server of `backend`."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Prediction(backend), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(backend), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def rest_server(backend):
    """The URL of a REST server of `backend`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(backend))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
