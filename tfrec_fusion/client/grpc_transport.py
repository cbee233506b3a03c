"""Client transport: TF Serving over gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.client.credentials import Credentials
from tfrec_fusion.client.errors import ServingError, serving_error
from tfrec_fusion.client.model_spec import ModelSpec
from tfrec_fusion.deploy import tensor_proto

_EXTRA = "serving"
_MAX_BYTES = 1 << 30


class GrpcTransport:
    """Sends all requests over one gRPC channel, which reconnects by itself.

    Args:
      target: "host:port".
      model: the model to call.
      credentials: for this target; none by default.

    Raises:
      ImportError: the extra `serving` is not installed.
    """

    def __init__(self, target: str, model: ModelSpec, credentials: Credentials | None = None):
        self._grpc = optional("grpc", _EXTRA)
        apis = "tensorflow_serving.apis"
        self._predict = optional(f"{apis}.predict_pb2", _EXTRA)
        self._metadata = optional(f"{apis}.get_model_metadata_pb2", _EXTRA)
        self._status = optional(f"{apis}.get_model_status_pb2", _EXTRA)
        self._spec = model
        credentials = credentials or Credentials(target)
        self._headers = tuple(credentials.headers.items())
        self._channel = self._open(target, credentials)
        services = optional(f"{apis}.prediction_service_pb2_grpc", _EXTRA)
        self._service = services.PredictionServiceStub(self._channel)
        models = optional(f"{apis}.model_service_pb2_grpc", _EXTRA)
        self._models = models.ModelServiceStub(self._channel)

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Runs a signature; returns output name -> array, with strings as bytes."""
        request = self._predict.PredictRequest()
        self._address(request.model_spec, signature)
        for name, value in inputs.items():
            tensor_proto.fill(request.inputs[name], _bytes(value))
        answer = self._call(self._service.Predict, request, timeout)
        return {name: tensor_proto.decode(tensor, name) for name, tensor in answer.outputs.items()}

    def signatures(self, timeout: float) -> dict[str, dict[str, dict[str, tuple[str, int]]]]:
        """Metadata of the model: signature -> "inputs" or "outputs" -> name -> (dtype, rank)."""
        request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address(request.model_spec)
        answer = self._call(self._service.GetModelMetadata, request, timeout)
        found = self._metadata.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        return {
            name: {
                side: {
                    key: (tf.as_dtype(info.dtype).name, len(info.tensor_shape.dim))
                    for key, info in getattr(signature, side).items()
                }
                for side in ("inputs", "outputs")
            }
            for name, signature in found.signature_def.items()
            if not name.startswith("__saved_model_")
        }

    def status(self, timeout: float) -> list[dict]:
        """Version, state and error of each version that the server knows."""
        request = self._status.GetModelStatusRequest()
        self._address(request.model_spec)
        if self._spec.label is not None:
            request.model_spec.ClearField("version_label")
        answer = self._call(self._models.GetModelStatus, request, timeout)
        states = self._status.ModelVersionStatus.State
        return [
            {
                "version": version.version,
                "state": states.Name(version.state),
                "error": version.status.error_message,
            }
            for version in answer.model_version_status
        ]

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _open(self, target: str, credentials: Credentials):
        options = [
            ("grpc.max_receive_message_length", _MAX_BYTES),
            ("grpc.max_send_message_length", _MAX_BYTES),
            # The client retries itself, as one deadline covers all attempts.
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
        ]
        if credentials.tls:
            trusted = credentials.ca_certs and Path(credentials.ca_certs).read_bytes()
            tls = self._grpc.ssl_channel_credentials(trusted)
            return self._grpc.secure_channel(target, tls, options)
        if credentials.headers:
            # The key may be sent unencrypted to this machine only, so never through a proxy.
            options.append(("grpc.enable_http_proxy", 0))
        return self._grpc.insecure_channel(target, options)

    def _address(self, spec, signature: str = "") -> None:
        spec.name, spec.signature_name = self._spec.name, signature
        if self._spec.version is not None:
            spec.version.value = self._spec.version
        if self._spec.label is not None:
            spec.version_label = self._spec.label

    def _call(self, method, request, timeout: float):
        try:
            return method(request, timeout=timeout, metadata=self._headers)
        except self._grpc.RpcError as error:
            raise _translated(error) from error


def _bytes(value: np.ndarray) -> np.ndarray:
    """Encodes strings as UTF-8 bytes; leaves numbers unchanged."""
    value = np.asarray(value)
    if value.dtype.kind not in "OSU":
        return value
    found = np.empty(value.size, object)
    found[:] = [item.encode() if isinstance(item, str) else item for item in value.ravel().tolist()]
    return found.reshape(value.shape)


def _translated(error) -> ServingError:
    code, details = error.code().name, error.details() or ""
    # gRPC's report of a server that goes away in the middle of an answer.
    if code in ("UNKNOWN", "INTERNAL", "CANCELLED") and "connection reset" in details.lower():
        code = "UNAVAILABLE"
    return serving_error(code, details)
