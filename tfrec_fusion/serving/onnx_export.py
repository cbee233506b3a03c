"""The signatures of an export as ONNX models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.embeddings.atomic import new_folder
from tfrec_fusion.errors import InputError
from tfrec_fusion.serving.kit.samples import Samples
from tfrec_fusion.serving.kit.warmup import signature_specs
from tfrec_fusion.serving.versions import latest_version

OPSET = 18
_EXTRA = "onnx"
_TOLERANCE = 1e-5
_BATCH = 5
# Of onnx.TensorProto.DataType, a public enumeration that does not change.
_INT64, _STRING, _BOOL = 7, 8, 9
# ONNX has no operation for these.
_WITHOUT = ("ParseExample", "ParseExampleV2", "DecodeProtoV2")
_HASHES = "StringToHashBucket"


def export_onnx(version: str | os.PathLike, path: str | os.PathLike) -> dict[str, str]:
    """Writes `path/<signature>.onnx` for each signature that comes through the conversion whole.

    Each is run by onnxruntime on example requests, with and without lists, known and unknown ids,
    and is written only if it gives what the SavedModel gives within 1e-5. Requests need a row. The
    folder appears whole or not at all.

    Args:
      version: a version's folder, or the folder of versions of which the highest is taken.
      path: a folder; what it holds is replaced.

    Returns:
      The signatures that are left out, each with the reason.

    Raises:
      InputError: no version there, or no signature comes through.
      ImportError: the extra `onnx` is not installed.

    Example:
      >>> left_out = export_onnx("saved_models/shop", "onnx/shop")
    """
    version = latest_version(version)
    converter, runtime = optional("tf2onnx", _EXTRA), optional("onnxruntime", _EXTRA)
    runtime.set_default_logger_severity(4)  # its errors come as exceptions as well
    loaded = tf.saved_model.load(str(version))
    signatures, left_out = signature_specs(version), {}
    with new_folder(path) as folder:
        for name, (inputs, _) in signatures.items():
            reason, model = _model(converter, version, name)
            if not reason:
                requests = _requests(Samples(version), name, inputs)
                reason = _difference(runtime, model, loaded.signatures[name], requests)
            if reason:
                left_out[name] = reason
            else:
                (folder / f"{name}.onnx").write_bytes(model)
        if len(left_out) == len(signatures):
            raise InputError(f"export: onnx: no signature comes through: {left_out}")
    return left_out


def _model(converter, version: Path, signature: str) -> tuple[str, bytes]:
    """Why there is none, and the bytes of an ONNX model."""
    graph = _graph(converter, version, signature)
    lacking = _unconvertible(graph[0])
    if not lacking:
        model = _converted(converter, signature, *graph)
        lacking = _undefined(model)
    if lacking:
        return f"ONNX has no operation for {', '.join(sorted(lacking))}", b""
    return "", model.SerializeToString()


def _requests(samples: Samples, signature: str, inputs: dict) -> list[dict[str, np.ndarray]]:
    usual = samples.inputs(signature, inputs, _BATCH)
    lists = [name for name, value in usual.items() if value.ndim > 1]
    found = [usual, {n: value[:, :0] if n in lists else value for n, value in usual.items()}]
    if "user_id" in usual:
        strangers = {**found[-1], "user_id": np.full(_BATCH, "nobody", object)}
        found += [strangers, {name: value[:1] for name, value in strangers.items()}]
    return found


def _graph(converter, version: Path, signature: str) -> list:
    """The frozen graph, its inputs, its outputs, its tables and the names of its tensors."""
    return converter.tf_loader.from_saved_model(
        str(version),
        None,
        None,
        tag=["serve"],
        signatures=[signature],
        return_initialized_tables=True,
        return_tensors_to_rename=True,
    )


def _unconvertible(graph) -> set[str]:
    """Operations on which the converter would end with an error."""
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    found = {node.op for node in nodes}
    return {op for op in found if op in _WITHOUT or op.startswith(_HASHES)}


def _undefined(model) -> set[str]:
    """Operations that the converter left as they were."""
    known = optional("onnx", _EXTRA).defs
    return {n.op_type for n in model.graph.node if not known.has(n.op_type, n.domain)}


def _converted(converter, name: str, frozen, inputs, outputs, tables, rename):
    """An ONNX model."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        # The converter needs every rank, and TensorFlow infers none behind a frozen table.
        shapes = {
            op.outputs[0].name: op.inputs[1].shape.as_list()
            for op in graph.get_operations()
            if op.type == "LookupTableFindV2"
        }
        converted = converter.tfonnx.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            initialized_tables=tables,
            tensors_to_rename=rename,
            shape_override=shapes,
            custom_op_handlers={name: (rule, []) for name, rule in _RULES.items()},
        )
    return converter.optimizer.optimize_graph(converted, catch_errors=False).make_model(name)


def _log1p(graph, node, name: str, _) -> None:
    """log(1 + x) of float32, for which the converter has no rule; it is of ages and sizes here."""
    output = node.output[0]
    kind = {"shapes": [graph.get_shape(output)], "dtypes": [graph.get_dtype(output)]}
    graph.remove_node(node.name)
    one = graph.make_const(f"{name}/one", np.ones([], np.float32))
    total = graph.make_node("Add", [node.input[0], one.output[0]], name=f"{name}/add", **kind)
    graph.make_node("Log", total.output, name=name, outputs=[output], **kind)


def _not_equal(graph, node, name: str, _) -> None:
    """x != y. The converter makes numbers of texts first; a text is only compared with "" here."""
    inputs, output = list(node.input), node.output[0]
    bools = {"shapes": [graph.get_shape(output)], "dtypes": [_BOOL]}
    text = graph.get_dtype(inputs[0]) == _STRING
    if text and not (node.inputs[1].is_const() and node.inputs[1].get_tensor_value() in ("", b"")):
        raise InputError(f"export: onnx: {name} compares texts with something other than ''")
    graph.remove_node(node.name)
    if text:
        mapped = graph.make_node(
            "CategoryMapper",
            inputs[:1],
            domain="ai.onnx.ml",
            attr={"cats_strings": [""], "cats_int64s": [0], "default_int64": 1},
            name=f"{name}/filled",
            shapes=bools["shapes"],
            dtypes=[_INT64],
        )
        graph.make_node("Cast", mapped.output, {"to": _BOOL}, name=name, outputs=[output], **bools)
        return
    equal = graph.make_node("Equal", inputs, name=f"{name}/equal", **bools)
    graph.make_node("Not", equal.output, name=name, outputs=[output], **bools)


def _matmul(graph, node, name: str, _) -> None:
    """x y of matrices. The converter drops a transposition where it knows no shape."""
    inputs, output = list(node.input), node.output[0]
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)
    transposed = [node.get_attr_value(f"transpose_{side}", 0) for side in "ab"]
    graph.remove_node(node.name)
    for place, wanted in enumerate(transposed):
        if wanted:
            turned = graph.make_node(
                "Transpose",
                [inputs[place]],
                {"perm": [1, 0]},
                name=f"{name}/transposed_{place}",
                shapes=[[-1, -1]],
                dtypes=[dtype],
            )
            inputs[place] = turned.output[0]
    graph.make_node("MatMul", inputs, name=name, outputs=[output], shapes=[shape], dtypes=[dtype])


# Operations that the converter has no rule for, or a wrong one.
_RULES = {
    "Log1p": _log1p,
    "MatMul": _matmul,
    "NotEqual": _not_equal,
}


def _difference(runtime, model: bytes, function, requests: list[dict[str, np.ndarray]]) -> str:
    """How the model differs from the SavedModel's function on the requests; "" if it does not."""
    try:
        session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        answers = [session.run(names, request) for request in requests]
    except Exception as error:  # onnxruntime's exceptions have no class of their own in common
        return f"onnxruntime does not run it: {' '.join(str(error).split())}"
    for request, values in zip(requests, answers, strict=True):
        expected = function(
            **{key: tf.constant(value, _dtype(value)) for key, value in request.items()}
        )
        answer = dict(zip(names, values, strict=True))
        for name, tensor in expected.items():
            value = tensor.numpy()
            if answer[name].shape != value.shape:
                return f"{name} has the shape {answer[name].shape}, not {value.shape}"
            if value.dtype == object:
                continue  # ids of equal scores may change places
            if not np.allclose(answer[name], value, rtol=_TOLERANCE, atol=_TOLERANCE):
                return f"{name} differs by {np.abs(answer[name] - value).max():.3g}"
    return ""


def _dtype(value: np.ndarray) -> tf.DType:
    return tf.string if value.dtype == object else tf.as_dtype(value.dtype)
