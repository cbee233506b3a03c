"""TF Serving's gRPC services.

They run in gRPC's own threads, which call the model themselves: through an event loop a request
would wake two threads more, and that takes longer than all else here.
"""

from __future__ import annotations

import threading
import time

import grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfrec_fusion.serving.server import answers
from tfrec_fusion.serving.server.codec import tensor_proto
from tfrec_fusion.serving.server.logs import Log
from tfrec_fusion.serving.server.model_manager import ModelManager
from tfrec_fusion.serving.server.predictor import Predictor, check_names, signature_name
from tfrec_fusion.serving.server.status import StatusError, invalid

_MAX_MESSAGE = 1024


def add_services(server: grpc.Server, predictor: Predictor, log: Log) -> None:
    """Adds `PredictionService` and `ModelService` to a server."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Prediction(predictor, log), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        _Models(predictor.manager, log), server
    )


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, predictor: Predictor, log: Log):
        self._predictor, self._log = predictor, log

    def Predict(self, request, context):  # noqa: N802
        started, error = time.monotonic(), None
        try:
            with self._predictor.request() as deadline:
                left = context.time_remaining()
                # Without a deadline gRPC says some 292 billion years.
                if left is not None and left <= threading.TIMEOUT_MAX:
                    deadline = time.monotonic() + left
                return self._predict(request, deadline)
        except StatusError as caught:
            error = caught
        except Exception as caught:
            self._log.failure("grpc", caught)
            error = _internal()
        finally:
            seconds = time.monotonic() - started
            name = request.model_spec.name
            self._predictor.done("GRPC", name, "Predict", error, seconds)
        _abort(context, error)

    def GetModelMetadata(self, request, context):  # noqa: N802
        try:
            return self._metadata(request)
        except StatusError as error:
            _abort(context, error)

    def Classify(self, request, context):  # noqa: N802
        _unsupported("Classify", context)

    def Regress(self, request, context):  # noqa: N802
        _unsupported("Regress", context)

    def MultiInference(self, request, context):  # noqa: N802
        _unsupported("MultiInference", context)

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
            tensor_proto.fill(answer.outputs[key], values)
        return answer

    def _metadata(self, request):
        _check_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != answers.SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        with _servable(self._predictor.manager, request.model_spec) as servable:
            return answers.metadata_message(servable)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, manager: ModelManager, log: Log):
        self._manager, self._log = manager, log

    def GetModelStatus(self, request, context):  # noqa: N802
        try:
            _check_spec(request)
            version, _ = _choice(request.model_spec)
            return answers.status_message(self._manager.status(request.model_spec.name, version))
        except StatusError as error:
            _abort(context, error)
        return get_model_status_pb2.GetModelStatusResponse()

    def HandleReloadConfigRequest(self, request, context):  # noqa: N802
        try:
            # Returns when the models are loaded.
            self._manager.reload(request.config)
        except StatusError as error:
            self._log("config_refused", error=str(error))
            _abort(context, error)
        return model_management_pb2.ReloadConfigResponse()


def _check_spec(request) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _choice(spec) -> tuple[int | None, str | None]:
    """The version and the label asked for."""
    kind = spec.WhichOneof("version_choice")
    return (
        spec.version.value if kind == "version" else None,
        spec.version_label if kind == "version_label" else None,
    )


def _servable(manager: ModelManager, spec):
    return manager.servable(spec.name, *_choice(spec))


def _internal() -> StatusError:
    return StatusError("INTERNAL", "internal error; see the log of the server")


def _unsupported(method: str, context) -> None:
    _abort(
        context,
        StatusError(
            "UNIMPLEMENTED",
            f"{method} is not supported by this server; call Predict with the signature",
        ),
    )


def _abort(context, error: StatusError) -> None:
    message = error.message
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}...TRUNCATED"
    context.abort(grpc.StatusCode[error.code], message)
