import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.serving.server.codec.json_request import JsonRequest
from tfrec_fusion.serving.server.codec.tensor_slot import TensorSlot
from tfrec_fusion.serving.server.status import StatusError

FLOAT, INT32, STRING, INT64 = 1, 3, 7, 9

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y", "b64", "z"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def slots(**dtypes):
    found = {name: TensorSlot(dtype, None) for name, dtype in dtypes.items()}
    return lambda signature: found


def parse(document, **dtypes):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return JsonRequest.parse(body, slots(**dtypes))


@settings(max_examples=150, deadline=None)
@given(JSON, st.sampled_from(["instances", "inputs"]))
def test_any_document_is_read_or_refused(value, key):
    for dtypes in ({"x": FLOAT}, {"x": STRING, "y": INT32}):
        try:
            request = parse({key: value}, **dtypes)
        except StatusError as error:
            assert error.http in (400, 501)
            continue
        assert set(request.inputs) == set(dtypes)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body):
    with pytest.raises(StatusError) as caught:
        JsonRequest.parse(b'{"inputs": ' + body, slots(x=FLOAT, y=STRING))
    assert caught.value.http == 400


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1),
            st.floats(width=32),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_rows_and_columns_are_the_same(rows):
    columns = dict(zip("xyz", map(list, zip(*rows, strict=True)), strict=True))
    by_row = parse(
        {"instances": [dict(zip("xyz", r, strict=True)) for r in rows]}, x=INT32, y=FLOAT, z=STRING
    )
    by_column = parse({"inputs": columns}, x=INT32, y=FLOAT, z=STRING)
    assert by_row.rows and not by_column.rows
    assert by_row.inputs["x"].tolist() == columns["x"]
    np.testing.assert_array_equal(by_row.inputs["y"], np.array(columns["y"], np.float32))
    assert [value.decode() for value in by_row.inputs["z"]] == columns["z"]
    for name, values in by_row.inputs.items():
        np.testing.assert_array_equal(values, by_column.inputs[name])
        assert values.dtype == by_column.inputs[name].dtype


def test_bytes_that_are_not_utf_8_stay_as_they_are():
    assert parse(b'{"inputs": ["a\xff\xfe"]}', x=STRING).inputs["x"].tolist() == [b"a\xff\xfe"]


def test_an_escaped_pair_is_one_character():
    request = parse(b'{"inputs": ["\\ud83e\\uddc0"]}', x=STRING)
    assert request.inputs["x"].tolist() == ["🧀".encode()]


def test_half_a_pair_beside_bytes_that_are_not_utf_8():
    with pytest.raises(StatusError, match="surrogate pair"):
        parse(b'{"inputs": ["\xff\\udc80"]}', x=STRING)


def test_a_backslash_before_what_looks_like_half_a_pair():
    request = parse(b'{"inputs": ["\\\\ud83e"]}', x=STRING)
    assert request.inputs["x"].tolist() == [b"\\ud83e"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"inputs":' * 100_000])
def test_depth_is_refused(body):
    with pytest.raises(StatusError, match="JSON Parse error"):
        parse(body, x=FLOAT)


def test_thousands_of_digits_are_refused():
    with pytest.raises(StatusError, match="too big"):
        parse(b'{"inputs": [' + b"9" * 5000 + b"]}", x=FLOAT)
    with pytest.raises(StatusError, match="too big"):
        parse(b'{"inputs": [' + b"9" * 400 + b"]}", x=FLOAT)


def test_a_large_integer_is_a_number_like_any_other():
    assert parse({"inputs": [10**30]}, x=FLOAT).inputs["x"] == np.float32(1e30)


def test_infinity_where_the_document_names_it():
    values = parse(b'{"inputs": [Infinity, -Infinity, NaN]}', x=FLOAT).inputs["x"].tolist()
    assert values[:2] == [math.inf, -math.inf] and math.isnan(values[2])


def test_empty_lists_keep_their_shape():
    assert parse({"instances": [[], []]}, x=STRING).inputs["x"].shape == (2, 0)
    assert parse({"inputs": [[[]], [[]]]}, x=STRING).inputs["x"].shape == (2, 1, 0)


def test_a_long_document_is_cut_in_the_message():
    with pytest.raises(StatusError) as caught:
        parse({"signature_name": 1, "instances": ["x" * 100] * 50}, x=STRING)
    # The value that was begun below 256 bytes is the last.
    assert 256 <= len(caught.value.message) < 600


def test_the_message_shows_the_document():
    with pytest.raises(StatusError) as caught:
        parse({"instances": {"a": [1, "ü"], "b": {}}}, x=STRING)
    assert caught.value.message == (
        'JSON Value: {\n    "instances": {\n        "a": [1, "ü"],\n        "b": {}\n    }\n} '
        "Expecting 'instances' to be an list/array"
    )
