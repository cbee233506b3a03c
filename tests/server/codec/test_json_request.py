import contextlib
import gc
import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.codec.json_request import JsonRequest

FLOAT, DOUBLE, INT32, STRING = 1, 2, 3, 7

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


def test_messages_name_the_input_and_do_not_repeat_the_body():
    for document, says in (
        ({"instances": ["x" * 10**6]}, 'input x: String "x{40}..." is not of expected type: float'),
        ({"instances": {"a": [1] * 10**5}}, "Expecting 'instances' to be an list/array"),
        ({"signature_name": [1] * 10**5, "inputs": 1}, "'signature_name' must be a string"),
        ({"inputs": [[1], [2, 3]]}, "input x: all lists at .* lengths 1 and 2 at depth 1"),
        ({"inputs": [[1], 2]}, "input x: expected a list at depth 1. Received: Number 2"),
    ):
        with pytest.raises(StatusError, match=says) as caught:
            parse(document, x=FLOAT)
        assert len(caught.value.message) < 200


def test_infinity_must_be_named_where_it_stands():
    """The word elsewhere does not let numbers through that are too big."""
    for body in (
        b'{"inputs": [1e400], "a": "Infinity"}',
        b'{"inputs": [Infinity, -1E+400]}',
        b'{"inputs": [1], "unused": 1e0000400}',
        b'{"inputs": [' + b"1" + b"0" * 400 + b".5]}",
        b'{"inputs": [1], "unused": -' + b"9" * 310 + b"}",
    ):
        with pytest.raises(StatusError, match="too big"):
            parse(body, x=FLOAT)
    largest = b'{"inputs": [1.7976931348623157e308, 1e-400, ' + b"1" + b"0" * 308 + b"]}"
    assert parse(largest, x=DOUBLE).inputs["x"].tolist() == [1.7976931348623157e308, 0.0, 1e308]


HALVES = [
    r"\ud83d",
    r"\ude00",
    r"\ude00\ud83d",
    r"\ud83d\ud83d\ude00",
    r"\ud83d\ude00\ude00",
    r"\ud83d\\ude00",
    r"\\ud83d\ude00",
    r"\uD83D\n\uDE00",
]


@pytest.mark.parametrize("text", HALVES)
def test_half_a_pair_is_refused(text):
    for document in (f'{{"inputs": ["{text}"]}}', f'{{"inputs": ["a"], "{text}": 1}}'):
        with pytest.raises(StatusError, match="surrogate pair"):
            parse(document.encode(), x=STRING)


def test_pairs_beside_escaped_backslashes():
    texts = parse(rb'{"inputs": ["\\\ud83e\uddc0\\ud83e", "\"\uD83E\uDDC0"]}', x=STRING).inputs["x"]
    assert [text.decode() for text in texts] == ["\\🧀\\ud83e", '"🧀']


@pytest.mark.parametrize("depth", [33, 200, 900, 100_000])
@pytest.mark.parametrize("key", ["inputs", "instances", "unused"])
def test_lists_nested_too_deeply(depth, key):
    body = b'{"%s": ' % key.encode() + b"[" * depth + b"1" + b"]" * depth + b', "inputs": [1]}'
    if key == "unused" and depth < 1000:
        assert parse(body, x=FLOAT).inputs["x"].tolist() == [1]
        return
    body = body.replace(b', "inputs": [1]', b"")
    with pytest.raises(StatusError):
        parse(body, x=FLOAT)


_PAIR = rb"\ud83d\udca9"
HOSTILE = {
    "quotes after a pair": lambda n: b'{"inputs": ["' + _PAIR + b' "' + rb"\"" * (n // 2),
    "quotes in a text": lambda n: b'{"a": "' + _PAIR + rb"\"" * (n // 2) + b'", "inputs": ["a"]}',
    "backslashes": lambda n: b'{"inputs": ["' + _PAIR + rb"\\" * (n // 2) + b'"]}',
    "pairs": lambda n: b'{"inputs": ["' + _PAIR * (n // 12) + b'"]}',
    "texts": lambda n: b'{"inputs": ["' + _PAIR + b'"' + b',"\\""' * (n // 7) + b"]}",
    "digits": lambda n: b'{"inputs": ["a"], "b": 0.' + b"1" * n + b"}",
    "long integers": lambda n: (
        b'{"inputs": ["a"], "b": [1' + (b"," + b"9" * 300) * (n // 301) + b"]}"
    ),
    "exponents": lambda n: b'{"inputs": ["a"], "b": [1' + b",1e300" * (n // 6) + b"]}",
    "lists": lambda n: b'{"inputs": [[1]' + b",[1]" * (n // 4) + b",2]}",
    "open lists": lambda n: b"[" * n,
    "spaces in base64": lambda n: b'{"inputs": [{"b64": "' + b" " * n + b'"}]}',
    "no UTF-8": lambda n: b'{"inputs": ["' + b"\xff" * n + b'"]}',
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_time_grows_as_the_body_does(make):
    """16 times the bytes take some 16 times as long, where quadratic work takes 256 times."""

    def seconds(size):
        body = make(size)
        taken = []
        gc.disable()  # how often it runs depends on all else in the process
        for _ in range(3):
            start = time.process_time()
            with contextlib.suppress(StatusError):
                parse(body, x=STRING)
            taken.append(time.process_time() - start)
        gc.enable()
        return min(taken)

    assert seconds(1 << 20) < 80 * (seconds(1 << 16) + 1e-3)


def test_a_body_of_16_mib():
    values = [b"1.5"] * (4 << 20)
    body = b'{"inputs": [' + b",".join(values) + b"]}"
    assert len(body) > 16 << 20
    assert parse(body, x=FLOAT).inputs["x"].sum() == 1.5 * (4 << 20)
