"""Converts nested JSON lists to arrays."""

from __future__ import annotations

import base64
import binascii
from itertools import chain

import numpy as np

from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.codec.json_text import shown

_B64 = "b64"
_SPACES = b" \t\n\v\f\r"
_MAX_RANK = 32
_INT32 = (-(2**31), 2**31 - 1)
# As in TF Serving, narrow types are read as int32 and then truncated.
_RANGES = {
    "int8": _INT32,
    "uint8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_TYPES = {
    "string": {str, dict},
    "bool": {bool},
    "float": {int, float},
    "double": {int, float},
    **{kind: {int} for kind in _RANGES},
}


def is_base64(value) -> bool:
    """Whether a value is `{"b64": <text>}`, base64-encoded bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_B64), str)


def array(value, name: str, slot: TensorSlot) -> np.ndarray:
    """Converts a value or nested lists to an array.

    Args:
      value: a scalar, or nested lists with one length at each depth.
      name: name of the input, for error messages.
      slot: gives the dtype; the shape is that of the value.

    Raises:
      StatusError: a value of a wrong type, or lists of different lengths at one depth.
    """
    shape, flat = ([len(value)], value) if isinstance(value, list) else ([], [value])
    while flat and isinstance(flat[0], list):
        sizes = set(map(len, flat)) if set(map(type, flat)) == {list} else ()
        if len(sizes) != 1:
            raise invalid(f"input {name}: {_uneven(flat, len(shape))}")
        if len(shape) == _MAX_RANK:
            raise invalid(f"input {name}: lists may be nested at most {_MAX_RANK} deep")
        shape.append(sizes.pop())
        flat = list(chain.from_iterable(flat))
    return _leaves(flat, name, slot).reshape(shape)


def _uneven(values: list, depth: int) -> str:
    """Describes why values, of which the first is a list, do not form an array."""
    for value in values:
        if not isinstance(value, list):
            return f"expected a list at depth {depth}. Received: {shown(value)}"
        if len(value) != len(values[0]):
            return (
                "all lists at one depth must have the same length. Received: lengths "
                f"{len(values[0])} and {len(value)} at depth {depth}"
            )
    raise AssertionError


def _leaves(flat: list, name: str, slot: TensorSlot) -> np.ndarray:
    kind = slot.type_name
    if kind not in _TYPES:
        raise StatusError("UNIMPLEMENTED", f"input {name}: JSON cannot hold the type {kind}")
    types = set(map(type, flat))
    if not types <= _TYPES[kind]:
        raise _refused(next(item for item in flat if type(item) not in _TYPES[kind]), name, kind)
    if kind == "string":
        found = np.empty(len(flat), object)
        if dict in types:
            found[:] = [_bytes(item, name) for item in flat]
        else:
            found[:] = [item.encode("utf-8", "surrogateescape") for item in flat]
        return found
    if kind in _RANGES:
        low, high = _RANGES[kind]
        if flat and not low <= min(flat) <= max(flat) <= high:
            raise _refused(next(item for item in flat if not low <= item <= high), name, kind)
        wide = np.uint64 if kind == "uint64" else np.int64
        return np.array(flat, wide).astype(slot.numpy_type)
    if kind == "bool":
        return np.array(flat, np.bool_)
    with np.errstate(over="ignore"):
        return np.array(flat, np.float64).astype(slot.numpy_type)


def _refused(value, name: str, kind: str) -> StatusError:
    return invalid(f"input {name}: {shown(value)} is not of expected type: {kind}")


def _bytes(value: str | dict, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise invalid(f"input {name}: Object not formatted correctly for base64 data")
    text = value[_B64].encode("ascii", "replace").translate(None, _SPACES).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise invalid(f"input {name}: Unable to base64 decode") from None
