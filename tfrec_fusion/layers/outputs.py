"""Checks of what custom layers and losses return."""

from __future__ import annotations

from typing import Any

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError


def checked_output(
    what: str, value: Any, shape: str, rank: int | None = None, columns: int | None = None
) -> tf.Tensor:
    """Returns `value` if it is a float tensor of the expected rank and number of columns.

    Args:
      what: what returned it, for the error, e.g. "fusion: Mean.fuse".
      value: anything.
      shape: the expected shape in words, e.g. "[B, 16]".
      rank: expected rank; None accepts all.
      columns: expected size of the last axis; None accepts all.

    Raises:
      InputError: it is not.

    Example:
      >>> checked_output("fusion: Mean.fuse", tf.zeros([3, 2]), "[..., 2]", columns=2).shape
      TensorShape([3, 2])
    """
    received = type(value).__name__
    if tf.is_tensor(value):
        fits = value.shape.rank in (None, rank) if rank is not None else True
        if fits and columns is not None and value.shape.rank:
            fits = value.shape[-1] in (None, columns)
        if fits and value.dtype.is_floating:
            return value
        received = f"{value.dtype.name} {value.shape}"
    raise InputError(f"{what} must return floats {shape}. Received: {received}")
