"""Tensors in JSON, as TF Serving reads and writes them; see rest_cases.py."""

from rest_cases import PREDICT, ZOO, Case, ask, given, refused

_ROW = {
    "f32": [1.5, 2],
    "f64": [0.1, 1e300],
    "i8": [-128, 127],
    "u8": [0, 255],
    "i16": [-32768, 32767],
    "i32": [-2147483648, 2147483647],
    "u32": [0, 4294967295],
    "i64": [-9223372036854775808, 9223372036854775807],
    "u64": [0, 18446744073709551615],
    "bool": [True, False],
    "text": ["käse 🧀", '"\\/\b\f\n\r\t\u0001'],
}


def _types(**changed):
    return ask("types", inputs={name: [value] for name, value in {**_ROW, **changed}.items()})


def _type_case(name, value, wanted):
    return refused(
        f"{name} refuses {value!r}",
        _types(**{name: [value]}),
        f"is not of expected type: {wanted}",
    )


_ROWS = [
    given(
        "rows of scalars", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}, "doc"
    ),
    Case(
        "rows as text",
        "doc",
        "POST",
        PREDICT,
        {"instances": [1.0, 2.0]},
        text='{\n    "predictions": [3.5, 4.0',
    ),
    given(
        "named rows of one input",
        {"instances": [{"x": 1.0}, {"x": 2.0}]},
        {"predictions": [3.5, 4.0]},
    ),
    given(
        "default signature by name",
        ask("serving_default", instances=[3.0]),
        {"predictions": [4.5]},
        "http",
    ),
    given("default signature by empty name", ask("", instances=[3.0]), {"predictions": [4.5]}),
    given("mixed numbers", {"instances": [1, 2.0, 5.003]}, {"predictions": [3.5, 4.0, 5.5015001]}),
    given(
        "version",
        {"instances": [1.0, 2.0]},
        {"predictions": [2.5, 3.0]},
        "http",
        f"{ZOO}/versions/1:predict",
    ),
    given(
        "label",
        {"instances": [1.0, 2.0]},
        {"predictions": [2.5, 3.0]},
        "http",
        f"{ZOO}/labels/stable:predict",
    ),
    given(
        "other label",
        {"instances": [1.0]},
        {"predictions": [3.5]},
        "http",
        f"{ZOO}/labels/canary:predict",
    ),
    given(
        "method in capitals", {"instances": [1.0]}, {"predictions": [3.5]}, "http", f"{ZOO}:PREDICT"
    ),
    given(
        "rows of matrices",
        ask("matrix", instances=[[[1, 2]], [[3, 4]]]),
        {"predictions": [3.0, 7.0]},
        "doc",
    ),
    given(
        "rows of several inputs",
        ask("divide", instances=[{"x": 1, "z": 2}, {"z": 4, "x": 1}]),
        {"predictions": [0.5, 0.25]},
        "doc",
    ),
    given(
        "rows of several outputs",
        ask("copies", instances=["a", {"b64": "/w=="}][:1]),
        {"predictions": [{"raw_bytes": {"b64": "YQ=="}, "shown": "a!"}]},
    ),
    given(
        "row with every type",
        ask("types", instances=[_ROW]),
        {"predictions": [{f"{k}_out": v for k, v in _ROW.items()}]},
    ),
    given(
        "rows of empty lists",
        ask("types", instances=[{key: [] for key in _ROW}]),
        {"predictions": [{f"{k}_out": [] for k in _ROW}]},
    ),
    refused(
        "rows of another size",
        ask("matrix", instances=[[[1, 2]], [[1, 2], [3, 4]]]),
        "",
    ),
    refused(
        "rows of another shape",
        ask("matrix", instances=[[[1, 2]], [[1], [2]]]),
        "",
    ),
    refused(
        "row is an object",
        {"instances": [1, {"x": 2}]},
        "Expecting value/list but got object at item 1",
    ),
    refused("row is a value", {"instances": [{"x": 2}, 1]}, "Expecting object"),
    refused(
        "row without an input", ask("divide", instances=[{"x": 1}]), "keys must be equal to: x,z"
    ),
    refused(
        "row with another input",
        ask("divide", instances=[{"x": 1, "z": 1, "w": 1}]),
        "",
    ),
    refused(
        "plain rows for two inputs",
        ask("divide", instances=[1, 2]),
        "instances",
    ),
    refused(
        "which row is wrong",
        {"instances": [1, "y"]},
        "is not of expected type: float",
    ),
    refused(
        "uneven outputs as rows",
        ask("uneven", instances=[{"n": 1, "m": 2}]),
        "has inconsistent batch size",
    ),
]

_COLUMNS = [
    given("columns of one input", {"inputs": [1.0, 2.0]}, {"outputs": [3.5, 4.0]}, "doc"),
    Case(
        "columns as text",
        "json",
        "POST",
        PREDICT,
        {"inputs": [1.0, 2.0]},
        text='"outputs": [\n        3.5,\n        4.0\n    ]',
    ),
    given("named columns of one input", {"inputs": {"x": [1.0]}}, {"outputs": [3.5]}),
    given(
        "columns of several inputs",
        ask("divide", inputs={"x": [1, 3], "z": [2, 4]}),
        {"outputs": [0.5, 0.75]},
        "doc",
    ),
    given(
        "columns of different sizes",
        ask("uneven", inputs={"n": [1], "m": [2, 3]}),
        {"outputs": {"all": [1, 2, 3], "n_out": [1]}},
        "doc",
    ),
    given(
        "scalars",
        ask("scalars", inputs={"x": 1.5, "s": "a"}),
        {"outputs": {"y": 2.5, "t": "a?"}},
        "doc",
    ),
    given(
        "rows of scalars for scalar inputs",
        ask("scalars", instances=[{"x": 1.5, "s": "a"}, {"x": 2, "s": "b"}]),
        {"predictions": [{"y": 2.5, "t": "a?"}, {"y": 3.0, "t": "b?"}]},
        "predict",
    ),
    given("every type", _types(), {"outputs": {f"{k}_out": [v] for k, v in _ROW.items()}}, "doc"),
    given("no rows", {"inputs": []}, {"outputs": []}),
    given("further columns", {"inputs": {"x": [1], "y": [2]}}, {"outputs": [3.5]}),
    refused(
        "plain columns for two inputs",
        ask("divide", inputs=[1]),
        "inputs",
    ),
    refused(
        "column that is missing",
        ask("divide", inputs={"x": [1]}),
        "Missing named input: z in 'inputs' object.",
    ),
    refused(
        "uneven lists",
        ask("matrix", inputs=[[[1, 2], [3]]]),
        "",
    ),
    refused(
        "list in the place of a value",
        {"inputs": [1, [2]]},
        "",
    ),
    refused(
        "value in the place of a list",
        ask("matrix", inputs=[[[1, 2]], 3]),
        "",
    ),
    refused("null", {"inputs": [None]}, "is not of expected type: float"),
]

_VALUES = [
    _type_case("f32", "x", "float"),
    _type_case("f32", True, "float"),
    _type_case("f64", {"a": 1}, "double"),
    _type_case("i32", 1.0, "int32"),
    _type_case("i32", 2**31, "int32"),
    _type_case("i32", False, "int32"),
    _type_case("i64", 2**63, "int64"),
    _type_case("u32", -1, "uint32"),
    _type_case("u64", -1, "uint64"),
    _type_case("bool", 1, "bool"),
    _type_case("text", 1, "string"),
    refused(
        "half is not read",
        ask("half", inputs=[1]),
        "type",
        501,
    ),
    refused(
        "half is not written",
        ask("narrow", inputs=[1]),
        "Failed to write JSON value for tensor type: half",
    ),
    given("numbers beyond float32", {"inputs": [1.7e308]}, {"outputs": [float("inf")]}),
    given("numbers below float32", {"inputs": [1e-300]}, {"outputs": [3.0]}),
    given(
        "precision is lost",
        _types(f32=[1435774380, 1435774380.0]),
        {"outputs": {f"{k}_out": [v] for k, v in {**_ROW, "f32": [1435774336.0] * 2}.items()}},
    ),
    Case(
        "six digits where they say it all",
        "json",
        "POST",
        PREDICT,
        ask("divide", inputs={"x": [9e6, 999999, 0.5, 0.0003, 0.00003, 555557.5], "z": [1] * 6}),
        text=",\n        ".join(["9e+06", "999999.0", "0.5", "0.0003", "3e-05", "555557.5"]),
    ),
    Case(
        "nine digits else",
        "json",
        "POST",
        PREDICT,
        ask("divide", instances=[{"x": 1, "z": 3}]),
        text="[0.333333343",
    ),
    Case("a whole number has a point", "doc", "POST", PREDICT, {"instances": [0]}, text="[3.0"),
    Case(
        "not a number",
        "json",
        "POST",
        PREDICT,
        ask("divide", instances=[{"x": 0, "z": 0}, {"x": 1, "z": 0}, {"x": -1, "z": 0}]),
        text="[NaN, Infinity, -Infinity",
    ),
    given(
        "base64 in", ask("image", inputs=[{"b64": "/+8="}]), {"outputs": [{"b64": "/+8="}]}, "doc"
    ),
    given(
        "base64 rows",
        ask("image", instances=[{"b64": "aGk="}, {"b64": ""}]),
        {"predictions": [{"b64": "aGk="}, {"b64": ""}]},
    ),
    given(
        "base64 named",
        ask("image", instances=[{"s": {"b64": "aGk="}}]),
        {"predictions": [{"b64": "aGk="}]},
    ),
    given(
        "base64 without padding",
        ask("image", inputs=[{"b64": "aGk"}]),
        {"outputs": [{"b64": "aGk="}]},
    ),
    given(
        "base64 and text",
        ask("image", inputs=["hi", {"b64": "aGk="}]),
        {"outputs": [{"b64": "aGk="}] * 2},
    ),
    refused("no base64", ask("image", inputs=[{"b64": "?"}]), "Unable to base64 decode"),
    refused(
        "base64 with another key",
        ask("copies", inputs={"s": [{"b64": "aa", "x": 1}]}),
        "not formatted correctly for base64 data",
    ),
    refused(
        "what the graph refuses",
        ask("refuse", inputs=[1, -1]),
        "n must be positive",
        source="predict",
    ),
]

TENSOR_CASES = [*_ROWS, *_COLUMNS, *_VALUES]
