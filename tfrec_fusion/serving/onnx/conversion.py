"""A signature of a SavedModel as an ONNX model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.serving.onnx.rules import rules

EXTRA = "onnx"
OPSET = 18
# ONNX has no operation for these.
_WITHOUT = ("ParseExample", "ParseExampleV2", "DecodeProtoV2")
_HASHES = "StringToHashBucket"


def convert(version: Path, signature: str) -> tuple[str, bytes]:
    """Why there is none, and the bytes of an ONNX model."""
    converter = optional("tf2onnx", EXTRA)
    graph = _frozen(converter, version, signature)
    lacking = _unconvertible(graph[0])
    if not lacking:
        model = _converted(converter, signature, *graph)
        lacking = _undefined(model)
    if lacking:
        return f"ONNX has no operation for {', '.join(sorted(lacking))}", b""
    return "", model.SerializeToString()


def _frozen(converter, version: Path, signature: str) -> list:
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
    known = optional("onnx", EXTRA).defs
    return {n.op_type for n in model.graph.node if not known.has(n.op_type, n.domain)}


def _converted(converter, name: str, frozen, inputs, outputs, tables, rename):
    """An ONNX model."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(_with_shapes(frozen), name="")
        converted = converter.tfonnx.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            initialized_tables=tables,
            tensors_to_rename=rename,
            custom_op_handlers=rules(),
        )
    converted = converter.optimizer.optimize_graph(converted, catch_errors=False)
    _count_axes_from_the_left(converted)
    return converted.make_model(name)


def _count_axes_from_the_left(graph) -> None:
    """Of reductions: onnxruntime 1.31 ignores a negative axis of a tensor without elements."""
    for node in graph.get_nodes():
        for body in (node.get_body_graphs() or {}).values():
            _count_axes_from_the_left(body)
        if not node.type.startswith("Reduce") or len(node.input) < 2:
            continue
        rank, axes = graph.get_rank(node.input[0]), node.inputs[1]
        if rank is not None and axes.is_const():
            counted = np.asarray(axes.get_tensor_value()).reshape(-1) % rank
            const = graph.make_const(f"{node.name}/axes", counted)
            graph.replace_input(node, node.input[1], const.output[0], 1)


def _with_shapes(frozen):
    """The graph with the shapes of what is looked up, of which a frozen table knows nothing.

    The converter needs every rank.
    """
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        shapes = {
            op.name: op.inputs[1].shape
            for op in graph.get_operations()
            if op.type == "LookupTableFindV2"
        }
    for node in [node for node in frozen.node if node.name in shapes]:
        found = frozen.node.add()
        found.CopyFrom(node)
        found.name = f"{node.name}/found"
        dtype = node.attr["Tout"].type
        shape = shapes[node.name].as_proto()
        node.ClearField("attr")
        node.op, node.input[:] = "EnsureShape", [found.name]
        node.attr["T"].type = dtype
        node.attr["shape"].shape.CopyFrom(shape)
    return frozen
