import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.codec.json_response import column_body, error_body, row_body


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32), max_size=8))
def test_float32_comes_back(values):
    values = np.array(values, np.float32)
    found = json.loads(column_body({"x": values}))["outputs"]
    np.testing.assert_array_equal(np.array(found, np.float32).reshape(values.shape), values)


@settings(max_examples=200, deadline=None)
@given(st.floats())
def test_float64_comes_back(value):
    (found,) = json.loads(row_body({"x": np.array([value])}))["predictions"]
    assert struct.pack("d", found) == struct.pack("d", value) or math.isnan(value)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_text_comes_back(texts):
    values = np.empty(len(texts), object)
    values[:] = [text.encode() for text in texts]
    assert json.loads(column_body({"x": values}))["outputs"] == texts


# By hand: %.6g where it says the number, else 9 digits; ".0" where there is neither point nor e.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.2"),
        (9e6, "9e+06"),
        (999999, "999999.0"),
        (1 / 3, "0.333333343"),
        (-0.0, "-0.0"),
        (3.4028235e38, "3.40282347e+38"),
        (1e-45, "1.4013e-45"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
    ],
)
def test_how_a_float_is_written(value, text):
    body = row_body({"x": np.array([value], np.float32)}).decode()
    assert body == f'{{\n    "predictions": [{text}\n    ]\n}}'


def test_rows_of_several_outputs():
    body = row_body({"a": np.array([[1, 2]]), "b": np.array([b'"'], object)}).decode()
    assert body == (
        '{\n    "predictions": [\n        {\n            "a": [1, 2],\n            "b": "\\""\n'
        "        }\n    ]\n}"
    )


def test_columns_of_several_outputs():
    body = column_body({"a": np.array([1, 2]), "b": np.array(True)}).decode()
    assert body == (
        '{\n    "outputs": {\n        "a": [\n            1,\n            2\n        ],\n'
        '        "b": true\n    }\n}'
    )


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (2, 0, 3), (2, 3, 0), (1, 2, 3)])
def test_shapes_come_back(shape):
    values = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    assert json.loads(row_body({"x": values}))["predictions"] == values.tolist()
    assert json.loads(column_body({"x": values}))["outputs"] == values.tolist()


def test_bytes_by_the_name_of_the_output():
    values = np.array([b"\xff\xef"], object)
    assert json.loads(row_body({"x_bytes": values})) == {"predictions": [{"b64": "/+8="}]}
    # Without the name they are written as they are, whatever they are.
    assert b'"\xff\xef"' in row_body({"x": values})


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({}, "empty tensor map"),
        ({"x": np.array(1)}, "Tensor name: x has no shape information"),
        ({"x": np.zeros(2), "y": np.zeros(3)}, "y has inconsistent batch size: 3 expecting: 2"),
        ({"x": np.zeros(2, np.complex64)}, "for tensor type: complex64"),
        ({"x": np.zeros(2, np.float16)}, "for tensor type: half"),
    ],
)
def test_what_rows_cannot_say(outputs, says):
    with pytest.raises(StatusError, match=says):
        row_body(outputs)


def test_an_error():
    assert error_body('no "x"\n\x01') == b'{\n    "error": "no \\"x\\"\\n\\u0001"\n}'
