"""Merges several requests into one, and splits its outputs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfrec_fusion.deploy.status import StatusError, invalid

Tensors = Mapping[str, np.ndarray]
_USER = "user_id"


def rows_of(inputs: Tensors) -> int:
    """The batch size of a request: that of `user_id`, or else of its first input.

    Raises:
      StatusError: INVALID_ARGUMENT; an input is a scalar or has another batch size.
    """
    for name, values in inputs.items():
        if values.ndim == 0:
            raise invalid(f"input {name} must have at least one dimension, the batch")
    first = _USER if _USER in inputs else next(iter(inputs))
    rows = len(inputs[first])
    for name, values in inputs.items():
        if len(values) != rows:
            raise invalid(
                f"input {name} must have the batch size of {first}, {rows}. Received: {len(values)}"
            )
    return rows


def merge(requests: Sequence[Tensors], size: int, pad: bool) -> dict[str, np.ndarray]:
    """Concatenates requests and pads them to `size` rows with the last request's first row.

    Args:
      requests: each name -> array `[rows, ...]`, with the same names.
      size: rows of the result.
      pad: pad narrower lists with the first value of their request; if False all widths must agree.

    Raises:
      StatusError: widths differ and `pad` is False, or an empty list cannot be padded.
    """
    missing = size - sum(len(next(iter(request.values()))) for request in requests)
    merged = {}
    for name in requests[0]:
        parts = [request[name] for request in requests]
        if len({part.shape[1:] for part in parts}) > 1:
            parts = _alike(parts, name, pad)
        if missing:
            parts = [*parts, np.repeat(parts[-1][:1], missing, axis=0)]
        merged[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return merged


def split(outputs: Tensors, sizes: Sequence[int], total: int) -> list[dict[str, np.ndarray]]:
    """Splits the outputs of a merged run of `total` rows into requests of `sizes` rows.

    Raises:
      StatusError: an output is a scalar or has another batch size than the inputs.
    """
    for values in outputs.values():
        if values.ndim == 0:
            raise StatusError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
        if len(values) != total:
            raise StatusError(
                "FAILED_PRECONDITION",
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
                "sizes of the input tensors",
            )
    ends = np.cumsum(sizes).tolist()
    return [
        {name: values[end - size : end] for name, values in outputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def _alike(parts: list[np.ndarray], name: str, pad: bool) -> list[np.ndarray]:
    if not pad:
        raise StatusError(
            "FAILED_PRECONDITION",
            f"Tensors with name '{name}' from different tasks have different shapes and padding is "
            "turned off. Set pad_variable_length_inputs to true, or ensure that all tensors with "
            "the same name have equal dimensions starting with the first dim.",
        )
    widths = np.max([part.shape[1:] for part in parts], axis=0)
    return [_wide(part, widths) for part in parts]


def _wide(part: np.ndarray, widths: np.ndarray) -> np.ndarray:
    shape = (len(part), *widths.tolist())
    if part.shape == shape:
        return part
    if not part.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    found = np.full(shape, part.flat[0], part.dtype)
    found[tuple(map(slice, part.shape))] = part
    return found
