"""An input or an output of a signature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# number in tensorflow.DataType -> name in TensorFlow's messages, numpy's type
_TYPES = {
    1: ("float", np.float32),
    2: ("double", np.float64),
    3: ("int32", np.int32),
    4: ("uint8", np.uint8),
    5: ("int16", np.int16),
    6: ("int8", np.int8),
    7: ("string", object),
    8: ("complex64", np.complex64),
    9: ("int64", np.int64),
    10: ("bool", np.bool_),
    14: ("bfloat16", None),
    17: ("uint16", np.uint16),
    18: ("complex128", np.complex128),
    19: ("half", np.float16),
    22: ("uint32", np.uint32),
    23: ("uint64", np.uint64),
}
STRING = 7


@dataclass(frozen=True)
class TensorSlot:
    """What a signature says of one of its tensors.

    Attributes:
      dtype: number in `tensorflow.DataType`.
      shape: sizes, None where any is taken; None in the place of all where the rank is not known.
      tensor: its name in the graph.
    """

    dtype: int
    shape: tuple[int | None, ...] | None
    tensor: str = ""

    @classmethod
    def of_info(cls, info) -> TensorSlot:
        """Of a `tensorflow.TensorInfo`."""
        shape = None
        if not info.tensor_shape.unknown_rank:
            shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
        return cls(info.dtype, shape, info.name)

    @property
    def type_name(self) -> str:
        return type_name(self.dtype)

    @property
    def numpy_type(self) -> type | None:
        """Strings are `object` arrays of bytes; None where numpy has no such type."""
        return _TYPES.get(self.dtype, ("", None))[1]


def type_name(dtype: int) -> str:
    """TensorFlow's name of a type, e.g. "float" for 1."""
    return _TYPES.get(dtype, (f"type {dtype}", None))[0]


def is_value(dtype: int) -> bool:
    """Whether a request may bring values of the type: no handles, and none that is not known."""
    return dtype in _TYPES
