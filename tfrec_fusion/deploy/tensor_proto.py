"""Converts between `tensorflow.TensorProto` and NumPy arrays."""

from __future__ import annotations

import math

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.status import invalid
from tfrec_fusion.deploy.tensor_slot import STRING, is_value, type_name

# NumPy dtype -> number in tensorflow.DataType, field that holds the values
_FIELDS = {
    np.dtype(np.float32): (1, "float_val"),
    np.dtype(np.float64): (2, "double_val"),
    np.dtype(np.int32): (3, "int_val"),
    np.dtype(np.uint8): (4, "int_val"),
    np.dtype(np.int16): (5, "int_val"),
    np.dtype(np.int8): (6, "int_val"),
    np.dtype(object): (STRING, "string_val"),
    np.dtype(np.int64): (9, "int64_val"),
    np.dtype(np.bool_): (10, "bool_val"),
    np.dtype(np.uint16): (17, "int_val"),
    np.dtype(np.uint32): (22, "uint32_val"),
    np.dtype(np.uint64): (23, "uint64_val"),
}
_NUMBERS = {
    number: (dtype, field) for dtype, (number, field) in _FIELDS.items() if number != STRING
}

_MAX_REPEATED = 1 << 20


def decode(proto, name: str) -> np.ndarray:
    """The array of a message; strings become an `object` array of bytes.

    Raises:
      StatusError: values do not match the shape, or the type has no values; names the input.
    """
    if not is_value(proto.dtype):
        raise invalid(f"input {name}: no values of {type_name(proto.dtype)} can be sent")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    try:
        if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
            raise ValueError
        # One value may stand for all elements, so a small message could claim any size.
        count = math.prod(shape)
        if count > _MAX_REPEATED and count > proto.ByteSize():
            raise ValueError
        if proto.dtype == STRING and not proto.tensor_content:
            return _strings(proto.string_val, shape)
        return _numbers(proto, shape)
    except (ValueError, TypeError, OverflowError):
        raise invalid(f"tensor parsing error: {name}") from None


def fill(proto, values: np.ndarray) -> None:
    """Writes an array into a message, as a list of values like TF Serving."""
    found = _FIELDS.get(values.dtype)
    if found is None:
        proto.CopyFrom(tf.make_tensor_proto(values))
        return
    proto.dtype, field = found
    for size in values.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(values.ravel().tolist())


def _numbers(proto, shape: tuple[int, ...]) -> np.ndarray:
    dtype, field = _NUMBERS.get(proto.dtype, (None, ""))
    if dtype is None:
        return tf.make_ndarray(proto)
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = getattr(proto, field)
    if len(values) < math.prod(shape):
        return tf.make_ndarray(proto)
    return np.array(values, dtype).reshape(shape)


def _strings(values, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape)
    if len(values) > count:
        raise ValueError
    found = np.empty(count, object)
    # The last value is repeated for the missing ones.
    found[: len(values)] = list(values)
    found[len(values) :] = values[-1] if values else b""
    return found.reshape(shape)
