import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.deploy.tensor_proto import decode, fill

ARRAYS = [
    np.array([[1.5, np.nan]], np.float32),
    np.array([0.1, -np.inf]),
    np.array([-128, 127], np.int8),
    np.array([0, 255], np.uint8),
    np.array([0, 65535], np.uint16),
    np.array([-(2**31), 2**31 - 1], np.int32),
    np.array([0, 2**32 - 1], np.uint32),
    np.array(-(2**63), np.int64),
    np.array([[0], [2**64 - 1]], np.uint64),
    np.array([True, False]),
    np.array([1.5, 2], np.float16),
    np.array([[b"\xff", b""]], object),
    np.array(b"one", object),
    np.zeros((2, 0), np.float32),
    np.empty((0, 3), object),
]


@pytest.mark.parametrize("values", ARRAYS, ids=lambda values: f"{values.dtype} {values.shape}")
def test_arrays_come_back(values):
    """Written here and by TensorFlow; read here and by TensorFlow."""
    ours = tf.make_tensor_proto(0)
    ours.Clear()
    fill(ours, values)
    for message in (ours, tf.make_tensor_proto(values)):
        for read in (lambda m: decode(m, "x"), tf.make_ndarray):
            found = read(message)
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("values", [[], [7]])
def test_the_last_value_stands_for_the_rest(values):
    message = tf.make_tensor_proto(np.zeros(3, np.int32))
    message.ClearField("tensor_content")
    message.int_val.extend(values)
    assert decode(message, "x").tolist() == [*(values or [0])] * 3


def broken(dtype, size, **fields):
    message = tf.make_tensor_proto(0)
    message.Clear()
    message.dtype = 7 if dtype is object else tf.as_dtype(dtype).as_datatype_enum
    message.tensor_shape.dim.add(size=size)
    for name, value in fields.items():
        if name == "tensor_content":
            message.tensor_content = value
        else:
            getattr(message, name).extend(value)
    return message


@pytest.mark.parametrize(
    "message",
    [
        broken(np.float32, 2, float_val=[1, 2, 3]),
        broken(np.float32, 2, tensor_content=b"123"),
        broken(np.int32, -1, int_val=[1]),
        broken(np.int32, 1 << 40, int_val=[1]),
        broken(object, 1, string_val=[b"a", b"b"]),
        broken(object, 1 << 40, string_val=[b"a"]),
    ],
)
def test_what_does_not_fit(message):
    with pytest.raises(StatusError, match="tensor parsing error: x"):
        decode(message, "x")


@pytest.mark.parametrize(
    "dtype", [0, 11, 12, 13, 15, 16, 20, 21, 24, 99, 101, 107, 120, 121, 1000, -1]
)
@pytest.mark.parametrize("sizes", [(), (0,), (1,), (2, 2)])
def test_types_without_values(dtype, sizes):
    """Quantised types, RESOURCE and VARIANT, references, and numbers that mean nothing."""
    message = broken(np.float32, 1, tensor_content=b"12345678")
    message.dtype = dtype
    message.tensor_shape.Clear()
    for size in sizes:
        message.tensor_shape.dim.add(size=size)
    with pytest.raises(StatusError, match="input x: no values of") as caught:
        decode(message, "x")
    assert caught.value.http == 400


@pytest.mark.parametrize("dtype", range(25))
@pytest.mark.parametrize(
    "field", ["tensor_content", "half_val", "string_val", "bool_val", "int_val"]
)
def test_any_type_with_any_field(dtype, field):
    value = {"tensor_content": b"\x07" * 16, "string_val": [b"a"]}.get(field, [1])
    message = broken(np.float32, 1, **{field: value})
    message.dtype = dtype
    try:
        decode(message, "x")
    except StatusError as error:
        assert error.http == 400
