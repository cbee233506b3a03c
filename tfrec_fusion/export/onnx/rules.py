"""Conversion rules for TensorFlow operations that tf2onnx converts wrongly or not at all."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.errors import InputError

# Values of onnx.TensorProto.DataType, a public enumeration that does not change.
_FLOAT, _INT32, _INT64, _STRING, _BOOL = 1, 6, 7, 8, 9


def rules() -> dict[str, tuple]:
    """Operation -> handler for tf2onnx, where its own is missing or wrong."""
    found = {
        "BatchMatMulV2": _batch_matmul,
        "Expm1": _expm1,
        "FloorDiv": _floor_div,
        "FloorMod": _floor_mod,
        "Log1p": _log1p,
        "LowerBound": _lower_bound,
        "MatMul": _matmul,
        "NotEqual": _not_equal,
        "Reshape": _reshape,
        "ScatterNd": _scatter_nd,
        "SelectV2": _select,
        "UnsortedSegmentMin": _segment_min,
        "UnsortedSegmentSum": _segment_sum,
    }
    return {operation: (rule, []) for operation, rule in found.items()}


def _floor_div(graph, node, name: str, _) -> None:
    """x // y of integers; the converter would round towards 0."""
    x, y = _whole(graph, node)
    rest = _make(graph, "Mod", [x, y], like=node.output[0])
    whole = _make(graph, "Sub", [x, rest], like=node.output[0])
    _replace(graph, node, "Div", [whole, y])


def _floor_mod(graph, node, name: str, _) -> None:
    """x % y of integers, with the sign of y."""
    _replace(graph, node, "Mod", _whole(graph, node))


def _whole(graph, node) -> list[str]:
    if graph.get_dtype(node.input[0]) not in (_INT32, _INT64):
        raise InputError(f"export: onnx: {node.name} divides numbers that are not integers")
    return list(node.input)


def _expm1(graph, node, name: str, _) -> None:
    """exp(x) - 1 in float32; precise enough, as x is a logarithm of an age or size here."""
    one = graph.make_const(f"{name}/onnx/one", np.ones([], np.float32)).output[0]
    power = _make(graph, "Exp", [node.input[0]], like=node.output[0])
    _replace(graph, node, "Sub", [power, one])


def _log1p(graph, node, name: str, _) -> None:
    """log(1 + x) in float32; precise enough, as x is an age or size here."""
    one = graph.make_const(f"{name}/onnx/one", np.ones([], np.float32)).output[0]
    total = _make(graph, "Add", [node.input[0], one], like=node.output[0])
    _replace(graph, node, "Log", [total])


def _lower_bound(graph, node, name: str, _) -> None:
    """Counts the values of sorted `[B, P]` below each of `[B, Q]`, by comparing all pairs."""
    inputs, sides = list(node.input), []
    for place, axis in enumerate((1, 2)):
        axes = graph.make_const(f"{name}/onnx/axis_{place}", np.array([axis], np.int64)).output[0]
        sides.append(_make(graph, "Unsqueeze", [inputs[place], axes]))
    less = _make(graph, "Cast", [_make(graph, "Less", sides)], {"to": _INT32})
    _replace(graph, node, "ReduceSum", [less, axes], {"keepdims": 0})


def _matmul(graph, node, name: str, _) -> None:
    """x y of two matrices as Gemm, which reads a transposed matrix in place."""
    options = {side: int(node.get_attr_value(f"transpose_{side}", 0)) for side in "ab"}
    options = {f"trans{side.upper()}": value for side, value in options.items()}
    _replace(graph, node, "Gemm", list(node.input), options)


def _batch_matmul(graph, node, name: str, _) -> None:
    """x y of batches of matrices. The converter drops transpositions if it knows no shape."""
    inputs = list(node.input)
    for place, option in enumerate(["adj_x", "adj_y"]):
        if not node.get_attr_value(option, 0):
            continue
        rank = graph.get_rank(inputs[place])
        if rank is None:
            raise InputError(f"export: onnx: {name} multiplies tensors of unknown rank")
        order = [*range(rank - 2), rank - 1, rank - 2]
        inputs[place] = graph.make_node(
            "Transpose",
            [inputs[place]],
            {"perm": order},
            shapes=[[-1] * rank],
            dtypes=[graph.get_dtype(inputs[place])],
        ).output[0]
    _replace(graph, node, "MatMul", inputs)


def _not_equal(graph, node, name: str, _) -> None:
    """x != y. The converter casts strings to numbers; a string is only compared with "" here."""
    inputs = list(node.input)
    shape = graph.get_shape(node.output[0])
    if graph.get_dtype(inputs[0]) != _STRING:
        equal = _make(graph, "Equal", inputs, like=node.output[0])
        _replace(graph, node, "Not", [equal])
        return
    if not (node.inputs[1].is_const() and node.inputs[1].get_tensor_value() in ("", b"")):
        raise InputError(f"export: onnx: {name} compares strings with something other than ''")
    filled = graph.make_node(
        "CategoryMapper",
        inputs[:1],
        domain="ai.onnx.ml",
        attr={"cats_strings": [""], "cats_int64s": [0], "default_int64": 1},
        shapes=[shape],
        dtypes=[_INT64],
    )
    _replace(graph, node, "Cast", filled.output, {"to": _BOOL})


def _reshape(graph, node, name: str, _) -> None:
    """Keeps a 0 in a shape as a size; the converter would read it as "keep this dimension"."""
    shape = _make(graph, "Cast", [node.input[1]], {"to": _INT64})
    _replace(graph, node, "Reshape", [node.input[0], shape], {"allowzero": 1})


def _scatter_nd(graph, node, name: str, _) -> None:
    """Sums values with the same index; the converter would keep the last one."""
    places, values, shape = node.input
    dtype = np.int32 if graph.get_dtype(values) == _INT32 else np.float32
    zero = graph.make_const(f"{name}/onnx/zero", np.zeros([], dtype)).output[0]
    shape = _make(graph, "Cast", [shape], {"to": _INT64})
    zeros = _make(graph, "Expand", [zero, shape], like=node.output[0])
    places = _make(graph, "Cast", [places], {"to": _INT64})
    _replace(graph, node, "ScatterND", [zeros, places, values], {"reduction": "add"})


def _select(graph, node, name: str, _) -> None:
    """As Where: the converter multiplies unselected values by 0, which keeps NaN and infinity."""
    _replace(graph, node, "Where", list(node.input))


def _segment_sum(graph, node, name: str, _) -> None:
    _scatter(graph, node, name, "add", 0.0)


def _segment_min(graph, node, name: str, _) -> None:
    _scatter(graph, node, name, "min", float(np.finfo(np.float32).max))


def _scatter(graph, node, name: str, reduction: str, start: float) -> None:
    """Scatters float32 rows into `n` rows; the converter's own way fails on empty input."""
    data, rows, n = node.input
    if graph.get_dtype(data) != _FLOAT:
        raise InputError(f"export: onnx: {name} is not float32")
    n = _make(graph, "Cast", [n], {"to": _INT64})
    zero = graph.make_const(f"{name}/onnx/zero", np.zeros([1], np.int64)).output[0]
    first = _make(graph, "Unsqueeze", [n, zero])
    shape = _make(graph, "Shape", [data])
    ends = [
        graph.make_const(f"{name}/onnx/{key}", np.array([value], np.int64)).output[0]
        for key, value in (("from", 1), ("to", np.iinfo(np.int64).max))
    ]
    others = _make(graph, "Slice", [shape, *ends])
    shape = _make(graph, "Concat", [first, others], {"axis": 0})
    start = graph.make_const(f"{name}/onnx/start", np.float32(start)).output[0]
    sums = _make(graph, "Expand", [start, shape], like=node.output[0])
    last = graph.make_const(f"{name}/onnx/last", np.array([1], np.int64)).output[0]
    rows = _make(graph, "Cast", [rows], {"to": _INT64})
    rows = _make(graph, "Unsqueeze", [rows, last])
    _replace(graph, node, "ScatterND", [sums, rows, data], {"reduction": reduction})


def _make(graph, operation: str, inputs, attributes=None, like: str | None = None):
    """The output of a new node."""
    kind = {}
    if like is not None:
        kind = {"shapes": [graph.get_shape(like)], "dtypes": [graph.get_dtype(like)]}
    return graph.make_node(operation, inputs, attributes, **kind).output[0]


def _replace(graph, node, operation: str, inputs, attributes=None) -> None:
    """Replaces a node by one of another operation under the same name."""
    output = node.output[0]
    shapes, dtypes = [graph.get_shape(output)], [graph.get_dtype(output)]
    graph.remove_node(node.name)
    graph.make_node(
        operation,
        list(inputs),
        attributes,
        name=node.name,
        outputs=[output],
        shapes=shapes,
        dtypes=dtypes,
    )
