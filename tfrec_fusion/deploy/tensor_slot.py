"""Type and shape of an input or output of a signature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# number in tensorflow.DataType -> name in TensorFlow's messages, NumPy type
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
    """Type, shape and graph name of an input or output of a signature.

    Attributes:
      dtype: number in `tensorflow.DataType`.
      shape: sizes, where None is any size; None if the rank is unknown.
      tensor: its name in the graph.
    """

    dtype: int
    shape: tuple[int | None, ...] | None
    tensor: str = ""

    @classmethod
    def of_info(cls, info) -> TensorSlot:
        """From a `tensorflow.TensorInfo`."""
        shape = None
        if not info.tensor_shape.unknown_rank:
            shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
        return cls(info.dtype, shape, info.name)

    @property
    def type_name(self) -> str:
        return type_name(self.dtype)

    @property
    def numpy_type(self) -> type | None:
        """The NumPy type; `object` (bytes) for strings, None if NumPy has no such type."""
        return _TYPES.get(self.dtype, ("", None))[1]


def type_name(dtype: int) -> str:
    """TensorFlow's name of a type, e.g. "float" for 1."""
    return _TYPES.get(dtype, (f"type {dtype}", None))[0]


def is_value(dtype: int) -> bool:
    """Whether requests may hold values of the type, i.e. it is known and not a handle."""
    return dtype in _TYPES
