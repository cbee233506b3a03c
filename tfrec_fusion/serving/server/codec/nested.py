"""Nested lists of JSON as arrays."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from itertools import chain

import numpy as np

from tfrec_fusion.serving.server.codec.debug_text import debug_text, type_name
from tfrec_fusion.serving.server.codec.json_text import check_finite
from tfrec_fusion.serving.server.codec.tensor_slot import TensorSlot
from tfrec_fusion.serving.server.status import StatusError, invalid

_B64 = "b64"
_SPACES = re.compile(r"[ \t\n\v\f\r]")
_ALPHABET = re.compile(r"[A-Za-z0-9+/]*")
_MAX_RANK = 254
_INT32 = (-(2**31), 2**31 - 1)
# Values of the narrow types are read as int32 and then cut to their width.
_RANGES = {
    "int8": _INT32,
    "uint8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS = ("float", "double")


def is_base64(value) -> bool:
    """Whether it is `{"b64": <text>}`, a string of bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_B64), str)


def array(value, slot: TensorSlot, infinite: bool) -> np.ndarray:
    """The array of a value or of nested lists.

    Args:
      slot: gives the type; the shape is the value's own.
      infinite: whether the document names infinity.

    Raises:
      StatusError: a value of another type, or lists that are no box.
    """
    found = dense(value, slot, infinite)
    if found is not None:
        return found
    shape = _shape(value)
    leaves: list = []
    _walk(value, 0, shape, _reader(slot, infinite), leaves)
    found = np.empty(len(leaves), slot.numpy_type)
    found[:] = leaves
    return found.reshape(shape)


def dense(value, slot: TensorSlot, infinite: bool) -> np.ndarray | None:
    """As `array`; None where something is wrong with it."""
    shape = _shape(value)
    flat = value if shape else [value]
    for size in shape[1:]:
        # All of a list's members are lists of one length.
        if set(map(type, flat)) != {list} or set(map(len, flat)) != {size}:
            return None
        flat = list(chain.from_iterable(flat))
    if len(shape) > _MAX_RANK:
        return None
    found = _leaves(flat, slot, infinite)
    return None if found is None else found.reshape(shape)


def _shape(value) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _leaves(flat: list, slot: TensorSlot, infinite: bool) -> np.ndarray | None:
    types, name = set(map(type, flat)), slot.type_name
    if name == "string" and types <= {str}:
        found = np.empty(len(flat), object)
        found[:] = [item.encode("utf-8", "surrogateescape") for item in flat]
        return found
    if name in _FLOATS and types <= {int, float}:
        try:
            found = np.array(flat, np.float64)
        except OverflowError:
            return None
        if not infinite and np.isinf(found).any():
            return None
        with np.errstate(over="ignore"):
            return found.astype(slot.numpy_type)
    if name in _RANGES and types <= {int}:
        low, high = _RANGES[name]
        if flat and not low <= min(flat) <= max(flat) <= high:
            return None
        wide = np.uint64 if name == "uint64" else np.int64
        return np.array(flat, wide).astype(slot.numpy_type)
    if name == "bool" and types <= {bool}:
        return np.array(flat, np.bool_)
    return None


def _walk(value, level: int, shape: list[int], read: Callable, leaves: list) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {debug_text(value)} found at incorrect level: {level + 1} in the "
                f"JSON DOM. Expected at level: {rank}"
            )
        leaves.append(read(value))
        return
    if level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    if rank > _MAX_RANK:
        raise invalid(f"Shape has {rank} dimensions; at most {_MAX_RANK} are supported")
    for item in value:
        _walk(item, level + 1, shape, read, leaves)


def _reader(slot: TensorSlot, infinite: bool) -> Callable:
    """A function that gives a value of the type, or raises."""
    name = slot.type_name

    def refused(value) -> StatusError:
        return invalid(
            f"JSON Value: {debug_text(value)} Type: {type_name(value)} is not of expected type: "
            f"{name}"
        )

    def number(value):
        if type(value) not in (int, float):
            raise refused(value)
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        check_finite(value, infinite)
        with np.errstate(over="ignore"):
            return np.float64(value).astype(slot.numpy_type)

    def integer(value):
        if type(value) is not int or not _RANGES[name][0] <= value <= _RANGES[name][1]:
            raise refused(value)
        return np.array(value, np.uint64 if value > 0 else np.int64).astype(slot.numpy_type)

    def text(value):
        if isinstance(value, dict):
            return _decoded(value)
        if not isinstance(value, str):
            raise refused(value)
        return value.encode("utf-8", "surrogateescape")

    def truth(value):
        if not isinstance(value, bool):
            raise refused(value)
        return value

    def unknown(value):
        if isinstance(value, dict):
            raise refused(value)
        raise StatusError(
            "UNIMPLEMENTED", f"Conversion of JSON Value: {debug_text(value)} to type: {name}"
        )

    readers = {"string": text, "bool": truth, **dict.fromkeys(_FLOATS, number)}
    return readers.get(name) or (integer if name in _RANGES else unknown)


def _decoded(value: dict) -> bytes:
    if not is_base64(value):
        raise invalid(f"JSON Value: {debug_text(value)} not formatted correctly for base64 data")
    text = _SPACES.sub("", value[_B64]).rstrip("=")
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise invalid("Unable to base64 decode")
    return base64.b64decode(text + "=" * (-len(text) % 4))
