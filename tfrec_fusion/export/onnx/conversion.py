"""Converts a signature of a SavedModel to ONNX."""

from __future__ import annotations

import logging

import numpy as np

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.export.onnx.rules import rules
from tfrec_fusion.export.saving import plain_function

EXTRA = "onnx"
_LONGEST = 300  # characters of a converter's error, which may quote whole graphs
_OPSET = 18
# ONNX has no operation for these.
_WITHOUT = ("ParseExample", "ParseExampleV2", "DecodeProtoV2")
_HASHES = "StringToHashBucket"


def convert(loaded, signature: str) -> tuple[str, bytes]:
    """Converts a signature; inputs and outputs keep their names.

    Args:
      loaded: a SavedModel; its signature cannot be used afterwards.
      signature: its name.

    Returns:
      (reason, model): the reason why it cannot be converted or "", and the bytes of the ONNX model.
    """
    converter, function = optional("tf2onnx", EXTRA), plain_function(loaded, signature)
    lacking = _unconvertible(function.graph.as_graph_def())
    if lacking:
        return _refusal(lacking), b""
    # It logs missing tables, which `_with_tables` provides, and raises its errors as exceptions.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL + 1)
    try:
        graph = _converted(converter, loaded, function)
    except Exception as error:  # of any class
        reason = " ".join(str(error).split())
        return f"the converter fails with {reason[:_LONGEST]}", b""
    model = graph.make_model(signature)
    lacking = _undefined(model.graph)
    return (_refusal(lacking), b"") if lacking else ("", model.SerializeToString())


def _refusal(lacking: set[str]) -> str:
    return f"ONNX has no operation for {', '.join(sorted(lacking))}"


def _unconvertible(graph) -> set[str]:
    """Operations on which the converter would raise an error."""
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    found = {node.op for node in nodes}
    return {op for op in found if op in _WITHOUT or op.startswith(_HASHES)}


def _undefined(graph) -> set[str]:
    """TensorFlow operations that the converter did not convert."""
    known, found = optional("onnx", EXTRA).defs, set()
    for node in graph.node:
        if not known.has(node.op_type, node.domain):
            found.add(node.op_type)
        for attribute in node.attribute:
            found |= _undefined(attribute.g)
    return found


def _converted(converter, loaded, function):
    """The converter's graph."""
    handles = {inner.op.name: handle for handle, inner in function.graph.captures}
    given = [tensor.name for tensor in function.inputs if tensor.op.name not in handles]
    gives = [tensor.name for tensor in function.outputs]
    names = dict(zip(given, sorted(function.structured_input_signature[1]), strict=True))
    names |= dict(zip(gives, sorted(function.structured_outputs), strict=True))
    frozen, _ = converter.tf_loader.from_trackable(loaded, function, given, gives, False)
    tables = _with_tables(frozen, handles)
    _with_shapes(frozen)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        # Not optimized: onnxruntime optimizes on loading, and the file stays smaller.
        converted = converter.tfonnx.process_tf_graph(
            graph,
            opset=_OPSET,
            input_names=given,
            output_names=gives,
            initialized_tables=tables,
            tensors_to_rename=names,
            custom_op_handlers=rules(),
        )
    _count_axes_from_the_left(converted)
    _with_ranks_of_counters(converted)
    converted.delete_unused_nodes(converted.outputs)
    converted.topological_sort(converted.get_nodes())
    return converted


def _with_tables(frozen, handles) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
    """Replaces the graph inputs that stand for lookup tables by tables.

    The converter finds only tables that are read directly from the inputs.

    Returns:
      Table name -> keys and values.
    """
    tables = {}
    for node in frozen.node:
        if node.name not in handles or node.op not in ("Placeholder", "HashTableV2"):
            continue
        name = node.name.encode()
        keys, rows = tf.raw_ops.LookupTableExportV2(
            table_handle=handles[node.name], Tkeys=tf.string, Tvalues=tf.int64
        )
        tables[name] = keys.numpy(), rows.numpy()
        node.ClearField("attr")
        node.op = "HashTableV2"
        node.attr["shared_name"].s = name
        node.attr["key_dtype"].type = tf.string.as_datatype_enum
        node.attr["value_dtype"].type = tf.int64.as_datatype_enum
    return tables


def _with_shapes(frozen) -> None:
    """Adds the shapes of table look-ups, which freezing loses; the converter needs all ranks."""
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
        node.ClearField("attr")
        node.op, node.input[:] = "EnsureShape", [found.name]
        node.attr["T"].type = dtype
        node.attr["shape"].shape.CopyFrom(shapes[node.name].as_proto())


def _with_ranks_of_counters(graph) -> None:
    """Sets the shape of loop counters to scalar, as onnxruntime cannot load loops without it."""
    for node in graph.get_nodes():
        for body in (node.get_body_graphs() or {}).values():
            if node.type == "Loop":
                body.set_shape(body.input_names[0], [])
            _with_ranks_of_counters(body)


def _count_axes_from_the_left(graph) -> None:
    """Makes axes of reductions >= 0; onnxruntime 1.31 ignores negative ones on empty tensors."""
    for node in graph.get_nodes():
        for body in (node.get_body_graphs() or {}).values():
            _count_axes_from_the_left(body)
        if not node.type.startswith("Reduce") or len(node.input) < 2:
            continue
        rank, axes = graph.get_rank(node.input[0]), node.inputs[1]
        while axes.type in ("Cast", "Identity", "Reshape", "Unsqueeze"):
            axes = axes.inputs[0]
        if rank is not None and axes.is_const():
            counted = np.asarray(axes.get_tensor_value(), np.int64).reshape(-1) % rank
            const = graph.make_const(f"{node.name}/axes", counted)
            graph.replace_input(node, node.input[1], const.output[0], 1)
