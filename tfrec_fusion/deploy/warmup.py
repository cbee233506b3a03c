"""`assets.extra/tf_serving_warmup_requests`: requests that TF Serving runs before serving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError, Message

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.samples import Samples
from tfrec_fusion.export.saved_signatures import signature_specs

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
# Start of what TensorFlow appends to an error's text: names of graph nodes.
_NODE = "\n\t [["


def write_warmup(version: Path, deployment: DeploymentConfig) -> None:
    """Writes a `PredictionLog` for each signature and batch size, and for `deployment.requests`.

    Args:
      version: a folder with the SavedModel, its assets and its card.
      deployment: the options.

    Raises:
      InputError: there are more than 1000 records, one does not match its signature, or the model
        fails on one of `deployment.requests`; TF Serving would not load the version.
    """
    signatures = signature_specs(version)
    samples = Samples(version)
    logs = [
        _log(name, samples.inputs(name, inputs, size), outputs)
        for name, (inputs, outputs) in signatures.items()
        for size in deployment.batch_sizes
    ]
    asked: list[tuple[str, dict]] = []
    for name, requests in deployment.requests.items():
        if name not in signatures:
            raise InputError(
                f"export: deployment.requests: the model has no signature {name!r}. "
                f"It has: {list(signatures)}"
            )
        inputs, outputs = signatures[name]
        arrays = [_arrays(name, request, inputs) for request in requests]
        logs += [_log(name, each, outputs) for each in arrays]
        asked += [(name, each) for each in arrays]
    path = version / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for log in logs:
            file.write(log.SerializeToString())
    check_warmup(version)
    _check_answered(version, asked)


def _check_answered(version: Path, requests: list[tuple[str, dict]]) -> None:
    """Checks that the model answers the requests, which already match their signatures."""
    if not requests:
        return
    loaded = tf.saved_model.load(str(version))
    for place, (name, inputs) in enumerate(requests, 1):
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        try:
            loaded.signatures[name](**tensors)
        except (tf.errors.OpError, ValueError, TypeError) as error:
            message = getattr(error, "message", str(error)).split(_NODE)[0].strip()
            raise InputError(
                f"export: deployment.requests: request {place}: {name} fails on it, so TF Serving "
                f"would not load the version; correct it. Received error: "
                f"{message.splitlines()[-1]}"
            ) from None


def check_warmup(version: Path) -> None:
    """Checks that TF Serving would load the version with its file of warm-up requests.

    Raises:
      InputError: it would not; names the record, its signature and the input.
    """
    signatures = signature_specs(version)
    path = version / FILE
    count = 0
    try:
        for count, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), 1):
            _check_record(record, signatures, f"{FILE}: record {count}")
    except tf.errors.DataLossError:
        raise InputError(f"{FILE}: not a TFRecord file after {count} records") from None
    if count > MAX_RECORDS:
        raise InputError(f"{FILE}: must have at most {MAX_RECORDS} records. Received: {count}")


def _log(signature: str, inputs: dict, outputs: dict) -> Message:
    """The log of a request; classify and regress requests hold Examples."""
    log = optional("tensorflow_serving.apis.prediction_log_pb2", protos.EXTRA).PredictionLog()
    kind = _example_kind(inputs, outputs)
    request = getattr(log, f"{kind}_log").request
    request.model_spec.signature_name = signature
    if kind == "predict":
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    else:
        examples = request.input.example_list.examples
        examples.extend(tf.train.Example.FromString(value) for value in inputs["inputs"])
    return log


def _example_kind(inputs, outputs) -> str:
    if set(inputs) == {"inputs"}:
        if set(outputs) == {"classes", "scores"}:
            return "classify"
        if set(outputs) == {"outputs"}:
            return "regress"
    return "predict"


def _arrays(signature: str, request: dict, specs: dict) -> dict[str, np.ndarray]:
    where = f"export: deployment.requests: {signature}"
    _check_names(where, request, specs)
    found = {}
    for name, value in request.items():
        dtype = specs[name].dtype
        try:
            found[name] = tf.constant(value, dtype).numpy()
        except (TypeError, ValueError):
            raise InputError(f"{where}: {name} must be {dtype.name}. Received: {value!r}") from None
    return found


def _check_record(record: bytes, signatures: dict, where: str) -> None:
    apis = optional("tensorflow_serving.apis.prediction_log_pb2", protos.EXTRA)
    try:
        log = apis.PredictionLog.FromString(record)
    except DecodeError:
        raise InputError(f"{where} is not a PredictionLog") from None
    kind = (log.WhichOneof("log_type") or "").removesuffix("_log")
    if kind not in ("predict", "classify", "regress"):
        raise InputError(f"{where}: log_type must be predict_log. Received: {kind!r}")
    request = getattr(log, f"{kind}_log").request
    name = request.model_spec.signature_name or "serving_default"
    if name not in signatures:
        raise InputError(
            f"{where}: signature_name must be one of {list(signatures)}. Received: {name!r}"
        )
    inputs, outputs = signatures[name]
    where = f"{where}: {name}"
    if kind == "predict":
        _check_names(where, request.inputs, inputs)
        for key, spec in inputs.items():
            _check_tensor(where, key, request.inputs[key], spec)
    elif _example_kind(inputs, outputs) != kind:
        raise InputError(f"{where}: signature_name: the signature is not for {kind} requests")


def _check_names(where: str, given, specs: dict) -> None:
    unknown, missing = sorted(set(given) - set(specs)), sorted(set(specs) - set(given))
    for names, problem in ((unknown, "the signature has no input"), (missing, "needs the input")):
        if names:
            raise InputError(f"{where}: {problem} {names[0]!r}. Its inputs: {list(specs)}")


def _check_tensor(where: str, name: str, tensor, spec: tf.TensorSpec) -> None:
    dtype, shape = tf.as_dtype(tensor.dtype), tf.TensorShape(tensor.tensor_shape)
    if dtype != spec.dtype:
        raise InputError(f"{where}: {name} must be {spec.dtype.name}. Received: {dtype.name}")
    if not spec.shape.is_compatible_with(shape):
        raise InputError(f"{where}: {name} must have the shape {spec.shape}. Received: {shape}")


def iterate_warmup(version: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields (signature, inputs) of each record; Examples are serialized, as input `inputs`."""
    apis = optional("tensorflow_serving.apis.prediction_log_pb2", protos.EXTRA)
    for record in tf.data.TFRecordDataset(str(version / FILE)).as_numpy_iterator():
        log = apis.PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type").removesuffix("_log")
        request = getattr(log, f"{kind}_log").request
        name = request.model_spec.signature_name
        if kind == "predict":
            yield name, {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        else:
            examples = request.input.example_list.examples
            serialized = [example.SerializeToString() for example in examples]
            yield name, {"inputs": np.array(serialized, object)}
