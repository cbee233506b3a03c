"""What TF Serving answers over gRPC, from its source.

Sources: "predict" is servables/tensorflow/predict_util.cc, predict_impl.cc and their tests,
"metadata" get_model_metadata_impl.cc and its test, "status" model_servers/get_model_status_impl.cc
and its test, "reload" model_service_impl.cc, "core" model_servers/server_core.cc and
core/basic_manager.cc, "values" tensorflow/cc/saved_model/util.cc.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

PREDICT, METADATA, STATUS = "Predict", "GetModelMetadata", "GetModelStatus"
X = {"x": np.array([1, 2], np.float32)}


@dataclass(frozen=True)
class Case:
    """A request and its answer.

    Attributes:
      spec: fields of the ModelSpec; None leaves it out.
      inputs: name -> array.
      filter: of outputs.
      fields: wanted metadata.
      code: of the status.
      error: part of its message.
      outputs: name -> values of the answer.
      answer: other fields of the answer, path -> value.
    """

    name: str
    source: str
    method: str = PREDICT
    spec: Any = field(default_factory=lambda: {"name": "zoo"})
    inputs: Any = field(default_factory=dict)
    filter: tuple = ()
    fields: tuple = ("signature_def",)
    code: str = "OK"
    error: str = ""
    outputs: Any = None
    answer: Any = field(default_factory=dict)


def _zoo(signature="", **more):
    return {"name": "zoo", **({"signature_name": signature} if signature else {}), **more}


def _strings(*values):
    return np.array(values, object)


_NOT_FOUND = {"code": "NOT_FOUND", "error": "Servable not found for request: "}
_INVALID = {"code": "INVALID_ARGUMENT"}
_TWO = {
    "x": np.array([6, 8], np.float32),
    "z": np.array([2, 4], np.float32),
}
_TYPES = {
    "f32": np.array([[1.5, np.nan]], np.float32),
    "f64": np.array([[0.1, -np.inf]], np.float64),
    "i8": np.array([[-128, 127]], np.int8),
    "u8": np.array([[0, 255]], np.uint8),
    "i16": np.array([[-32768, 32767]], np.int16),
    "i32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "u32": np.array([[0, 2**32 - 1]], np.uint32),
    "i64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "u64": np.array([[0, 2**64 - 1]], np.uint64),
    "bool": np.array([[True, False]]),
    "text": np.array([["käse".encode(), b"\xff\x00"]], object),
}

CASES = [
    # Predictions.
    Case("default signature", "predict", inputs=X, outputs={"y": [3.5, 4.0]}),
    Case(
        "the answer says what answered",
        "predict",
        inputs=X,
        answer={
            "model_spec.name": "zoo",
            "model_spec.version.value": 2,
            "model_spec.signature_name": "serving_default",
        },
    ),
    Case("version", "core", spec=_zoo(version=1), inputs=X, outputs={"y": [2.5, 3.0]}),
    Case(
        "the answer says which version",
        "predict",
        spec=_zoo(version=1),
        inputs=X,
        answer={"model_spec.version.value": 1},
    ),
    Case("label", "core", spec=_zoo(version_label="stable"), inputs=X, outputs={"y": [2.5, 3.0]}),
    Case(
        "label's version in the answer",
        "predict",
        spec=_zoo(version_label="canary"),
        inputs=X,
        answer={"model_spec.version.value": 2, "model_spec.version_label": ""},
    ),
    Case("several inputs", "predict", spec=_zoo("divide"), inputs=_TWO, outputs={"q": [3, 2]}),
    Case(
        "every type",
        "predict",
        spec=_zoo("types"),
        inputs=_TYPES,
        outputs={f"{name}_out": values.tolist() for name, values in _TYPES.items()},
    ),
    Case(
        "scalars",
        "predict",
        spec=_zoo("scalars"),
        inputs={"x": np.float32(2), "s": np.array(b"a", object)},
        outputs={"y": 3.0, "t": b"a?"},
    ),
    Case(
        "bytes that are not text",
        "predict",
        spec=_zoo("image"),
        inputs={"s": _strings(b"\xff\xfe", b"")},
        outputs={"image_bytes": [b"\xff\xfe", b""]},
    ),
    Case("no rows", "predict", inputs={"x": np.zeros(0, np.float32)}, outputs={"y": []}),
    Case(
        "half is read over gRPC",
        "predict",
        spec=_zoo("half"),
        inputs={"h": np.array([1.5], np.float16)},
        outputs={"wide": [1.5]},
    ),
    Case(
        "half is written over gRPC",
        "predict",
        spec=_zoo("narrow"),
        inputs={"x": np.array([1.5], np.float32)},
        outputs={"h": [1.5]},
    ),
    # Filters.
    Case(
        "filter",
        "predict",
        spec=_zoo("copies"),
        inputs={"s": _strings(b"a")},
        filter=("shown",),
        outputs={"shown": [b"a!"]},
    ),
    Case(
        "filter of all",
        "predict",
        spec=_zoo("copies"),
        inputs={"s": _strings(b"a")},
        filter=("shown", "raw_bytes"),
        outputs={"shown": [b"a!"], "raw_bytes": [b"a"]},
    ),
    Case(
        "filter of another output",
        "predict",
        inputs=X,
        filter=("z",),
        **_INVALID,
        error="output tensor alias not found in signature: z Outputs expected to be in the set {y}",
    ),
    Case(
        "filter with one twice",
        "predict",
        inputs=X,
        filter=("y", "y"),
        **_INVALID,
        error="duplicate output tensor alias: y",
    ),
    # What is wrong with a prediction.
    Case("no model spec", "predict", spec=None, inputs=X, **_INVALID, error="Missing ModelSpec"),
    Case("no name", "core", spec={"name": ""}, inputs=X, **_INVALID, error="ModelSpec has no name"),
    Case("unknown model", "core", spec={"name": "half"}, inputs=X, **_NOT_FOUND),
    Case("unknown version", "core", spec=_zoo(version=7), inputs=X, **_NOT_FOUND),
    Case(
        "unknown label",
        "core",
        spec=_zoo(version_label="none"),
        inputs=X,
        **_INVALID,
        error="Unrecognized servable version label: none",
    ),
    Case(
        "unknown signature",
        "predict",
        spec=_zoo("none"),
        inputs=X,
        code="FAILED_PRECONDITION",
        error='Serving signature key "none" not found.',
    ),
    Case(
        "no inputs",
        "predict",
        **_INVALID,
        error="input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
        "Missing but required: {x}.",
    ),
    Case(
        "too many inputs",
        "predict",
        inputs={**X, "w": X["x"]},
        **_INVALID,
        error="2!=1 len({w,x}) != len({x}). Sent extra: {w}. Missing but required: {}.",
    ),
    Case(
        "too few inputs",
        "predict",
        spec=_zoo("divide"),
        inputs=X,
        **_INVALID,
        error="1!=2 len({x}) != len({x,z}). Sent extra: {}. Missing but required: {z}.",
    ),
    Case(
        "another input",
        "values",
        inputs={"w": X["x"]},
        **_INVALID,
        error="Signature input alias: x",
    ),
    Case(
        "another type",
        "predict",
        inputs={"x": np.array([1, 2], np.int32)},
        **_INVALID,
        error="to be float but int32 is provided",
    ),
    Case(
        "text in the place of numbers",
        "predict",
        inputs={"x": _strings(b"a")},
        **_INVALID,
        error="to be float but string is provided",
    ),
    Case(
        "broken tensor",
        "values",
        inputs={"x": "broken"},
        **_INVALID,
        error="tensor parsing error: x",
    ),
    Case(
        "what the graph refuses",
        "predict",
        spec=_zoo("refuse"),
        inputs={"n": np.array([-1], np.int32)},
        **_INVALID,
        error="n must be positive",
    ),
    # Metadata.
    Case(
        "metadata",
        "metadata",
        METADATA,
        answer={"model_spec.name": "zoo", "model_spec.version.value": 2},
    ),
    Case(
        "metadata of a version",
        "metadata",
        METADATA,
        spec=_zoo(version=1),
        answer={"model_spec.version.value": 1},
    ),
    Case(
        "metadata of a label",
        "metadata",
        METADATA,
        spec=_zoo(version_label="stable"),
        answer={"model_spec.version.value": 1},
    ),
    Case(
        "metadata without a field",
        "metadata",
        METADATA,
        fields=(),
        **_INVALID,
        error="must specify at least one metadata_field",
    ),
    Case(
        "metadata of another field",
        "metadata",
        METADATA,
        fields=("graph",),
        **_INVALID,
        error="Metadata field graph is not supported",
    ),
    Case(
        "metadata without a spec",
        "metadata",
        METADATA,
        spec=None,
        **_INVALID,
        error="Missing ModelSpec",
    ),
    Case("metadata of an unknown model", "core", METADATA, spec={"name": "half"}, **_NOT_FOUND),
    # Status.
    Case(
        "status",
        "status",
        STATUS,
        answer={
            "model_version_status[0].version": 2,
            "model_version_status[1].version": 1,
            "model_version_status[0].state": 30,
            "model_version_status[0].status.error_code": 0,
            "model_version_status[0].status.error_message": "",
        },
    ),
    Case(
        "status of a version",
        "status",
        STATUS,
        spec=_zoo(version=1),
        answer={"model_version_status[0].version": 1},
    ),
    Case(
        "status without a spec", "status", STATUS, spec=None, **_INVALID, error="Missing ModelSpec"
    ),
    Case(
        "status of an unknown model",
        "status",
        STATUS,
        spec={"name": "half"},
        code="NOT_FOUND",
        error="Could not find any versions of model half",
    ),
    Case(
        "status of an unknown version",
        "status",
        STATUS,
        spec=_zoo(version=7),
        code="NOT_FOUND",
        error="Could not find version 7 of model zoo",
    ),
    Case(
        "reload of nothing",
        "reload",
        "HandleReloadConfigRequest",
        **_INVALID,
        error="Only ModelConfigList is currently supported",
    ),
]
