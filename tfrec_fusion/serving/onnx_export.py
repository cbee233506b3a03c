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
# ONNX has no operation for these.
_WITHOUT = ("ParseExample", "ParseExampleV2", "DecodeProtoV2")
_HASHES = "StringToHashBucket"


def export_onnx(version: str | os.PathLike, path: str | os.PathLike) -> dict[str, str]:
    """Writes `path/<signature>.onnx` for each signature that ONNX has operations for.

    Each is run by onnxruntime on example requests and has to give what the SavedModel gives, within
    1e-5. The folder appears whole or not at all.

    Args:
      version: a version's folder, or the folder of versions of which the highest is taken.
      path: a folder; what it holds is replaced.

    Returns:
      The signatures that are left out, each with the reason.

    Raises:
      InputError: no version there, or an ONNX model that does not give what the SavedModel gives.
      ImportError: the extra `onnx` is not installed.

    Example:
      >>> export_onnx("saved_models/shop", "onnx/shop")
      {}
    """
    version = latest_version(version)
    converter, runtime = optional("tf2onnx", _EXTRA), optional("onnxruntime", _EXTRA)
    loaded = tf.saved_model.load(str(version))
    samples, left_out = Samples(version), {}
    with new_folder(path) as folder:
        for name, (inputs, _) in signature_specs(version).items():
            graph = _graph(converter, version, name)
            lacking = _lacking(graph[0])
            if lacking:
                left_out[name] = f"ONNX has no operation for {lacking}"
                continue
            file = folder / f"{name}.onnx"
            file.write_bytes(_converted(converter, name, *graph))
            request = samples.inputs(name, inputs, _BATCH)
            tensors = {key: tf.constant(value, inputs[key].dtype) for key, value in request.items()}
            expected = loaded.signatures[name](**tensors)
            _check(runtime, file, request, {key: v.numpy() for key, v in expected.items()})
    return left_out


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


def _lacking(graph) -> str:
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    found = {node.op for node in nodes}
    return ", ".join(sorted(op for op in found if op in _WITHOUT or op.startswith(_HASHES)))


def _converted(converter, name: str, frozen, inputs, outputs, tables, rename) -> bytes:
    """The bytes of an ONNX model."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        converted = converter.tfonnx.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            initialized_tables=tables,
            tensors_to_rename=rename,
        )
    model = converter.optimizer.optimize_graph(converted, catch_errors=False).make_model(name)
    return model.SerializeToString()


def _check(runtime, file: Path, request: dict, expected: dict[str, np.ndarray]) -> None:
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answer = dict(zip(names, session.run(names, request), strict=True))
    for name, value in expected.items():
        if value.dtype == object:
            continue  # ids of equal scores may change places
        error = np.abs(answer[name] - value).max(initial=0.0)
        scale = max(1.0, np.abs(value[np.abs(value) < 1e30]).max(initial=0.0))
        if not error <= _TOLERANCE * scale:
            raise InputError(
                f"export: onnx: {file.stem}: {name} differs from the SavedModel's by {error:.3g}"
            )
