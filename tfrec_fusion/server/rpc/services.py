"""TF Serving's gRPC services.

They run in gRPC's own threads, which call the model directly: going through an event loop would
wake two more threads per request, and that takes longer than everything else here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from tfrec_fusion.deploy import tensor_proto
from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.server import answers
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.model_manager import ModelManager
from tfrec_fusion.server.predictor import Predictor, check_names, signature_name, too_late

_MAX_MESSAGE = 1024
_UNSUPPORTED = ("Classify", "Regress", "MultiInference")


def add_services(server: grpc.Server, predictor: Predictor, log: Log) -> None:
    """Adds `PredictionService` and `ModelService` to a gRPC server."""
    prediction, models = _Prediction(predictor), _Models(predictor.manager, log)
    services: dict[str, dict[str, tuple[Any, Callable]]] = {
        "tensorflow.serving.PredictionService": {
            "Predict": (predict_pb2.PredictRequest, prediction.predict),
            "GetModelMetadata": (
                get_model_metadata_pb2.GetModelMetadataRequest,
                prediction.metadata,
            ),
            **{name: (None, _unsupported(name)) for name in _UNSUPPORTED},
        },
        "tensorflow.serving.ModelService": {
            "GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, models.status),
            "HandleReloadConfigRequest": (model_management_pb2.ReloadConfigRequest, models.reload),
        },
    }
    for service, methods in services.items():
        handlers = {
            name: _handler(name, kind, function, log) for name, (kind, function) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _handler(name: str, kind: Any, function: Callable, log: Log):
    """Parses the request here, as gRPC would log a traceback for each unreadable message."""
    expected = "" if kind is None else kind.DESCRIPTOR.name

    def answer(data: bytes, context):
        try:
            try:
                request = data if kind is None else kind.FromString(data)
            except DecodeError:
                raise invalid(f"{name}: the message is not a valid {expected}") from None
            return function(request, context)
        except StatusError as caught:
            error = caught
        except Exception as caught:
            log.failure("grpc", caught)
            error = StatusError("INTERNAL", "internal error; see the log of the server")
        _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(answer, response_serializer=_serialized)


def _serialized(message) -> bytes:
    return message.SerializeToString()


class _Prediction:
    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    def predict(self, request, context):
        started, error = time.monotonic(), None
        try:
            with self._predictor.request() as deadline:
                left = context.time_remaining()
                # Without a deadline gRPC returns about 292 billion years.
                if left is not None and left <= threading.TIMEOUT_MAX:
                    deadline = time.monotonic() + left
                return self._predict(request, deadline)
        except StatusError as caught:
            error = caught
            raise
        except Exception:
            error = StatusError("INTERNAL", "")
            raise
        finally:
            seconds = time.monotonic() - started
            self._predictor.done("GRPC", request.model_spec.name, "Predict", error, seconds)

    def _predict(self, request, deadline: float):
        _check_spec(request)
        with _servable(self._predictor.manager, request.model_spec) as servable:
            name = signature_name(request.model_spec.signature_name)
            signature = servable.signatures.get(name)
            if signature is None:
                raise StatusError(
                    "FAILED_PRECONDITION", f'Serving signature key "{name}" not found.'
                )
            check_names(signature, list(request.inputs))
            given = {key: tensor_proto.decode(value, key) for key, value in request.inputs.items()}
            inputs = {**signature.defaults, **given}
            wanted = list(request.output_filter)
            found = self._predictor.predict_here(servable, name, inputs, wanted, deadline)
            answer = predict_pb2.PredictResponse()
            spec = answer.model_spec
            spec.name, spec.signature_name = request.model_spec.name, name
            spec.version.value = servable.version
        for key, values in found.items():
            if time.monotonic() >= deadline:
                raise too_late()
            tensor_proto.fill(answer.outputs[key], values)
        return answer

    def metadata(self, request, context):
        _check_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != answers.SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        with _servable(self._predictor.manager, request.model_spec) as servable:
            return answers.metadata_message(servable)


class _Models:
    def __init__(self, manager: ModelManager, log: Log):
        self._manager, self._log = manager, log

    def status(self, request, context):
        _check_spec(request)
        version, _ = _choice(request.model_spec)
        return answers.status_message(self._manager.status(request.model_spec.name, version))

    def reload(self, request, context):
        try:
            # Returns once the models are loaded.
            self._manager.reload(request.config)
        except StatusError as error:
            self._log("config_refused", error=str(error))
            raise
        return model_management_pb2.ReloadConfigResponse()


def _check_spec(request) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _choice(spec) -> tuple[int | None, str | None]:
    """The requested version and label, None if not given."""
    kind = spec.WhichOneof("version_choice")
    return (
        spec.version.value if kind == "version" else None,
        spec.version_label if kind == "version_label" else None,
    )


def _servable(manager: ModelManager, spec):
    return manager.servable(spec.name, *_choice(spec))


def _unsupported(method: str) -> Callable:
    def refuse(request, context):
        raise StatusError(
            "UNIMPLEMENTED",
            f"{method} is not supported by this server; call Predict with the signature",
        )

    return refuse


def _abort(context, error: StatusError) -> None:
    message = error.message
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}...TRUNCATED"
    context.abort(grpc.StatusCode[error.code], message)
