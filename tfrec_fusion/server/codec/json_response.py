"""Writes output arrays as the JSON body of an answer, in TF Serving's format."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec_fusion.deploy.status import invalid

_BYTES_SUFFIX = "_bytes"
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INDENT = "    "
_TYPE_NAMES = {"float16": "half", "object": "string"}


def row_body(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes `{"predictions": [...]}`: one value per row, or one object if there are more outputs.

    Raises:
      StatusError: no output, scalar outputs, different batch sizes, or a type that JSON cannot
        hold.
    """
    _check_some(outputs)
    sizes = {}
    for name, values in outputs.items():
        if values.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        expected = next(iter(sizes.values()), len(values))
        if len(values) != expected:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(values)} expecting: "
                f"{expected}"
            )
        sizes[name] = len(values)
    columns = {name: _rows(name, values) for name, values in outputs.items()}
    if len(columns) == 1:
        (rows,) = columns.values()
        inside = ", ".join(rows)
    else:
        names = list(map(_quoted, columns))
        objects = [
            ",\n".join(
                f"{_INDENT * 3}{name}: {value}" for name, value in zip(names, row, strict=True)
            )
            for row in zip(*columns.values(), strict=True)
        ]
        inside = ",".join(f"\n{_INDENT * 2}{{\n{text}\n{_INDENT * 2}}}" for text in objects)
    end = f"\n{_INDENT}" if inside else ""
    return _encoded(f'{{\n{_INDENT}"predictions": [{inside}{end}]\n}}')


def column_body(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes `{"outputs": ...}`: one array, or an object of arrays if there are more outputs.

    Raises:
      StatusError: no output, or a type that JSON cannot hold.
    """
    _check_some(outputs)
    if len(outputs) == 1:
        ((name, values),) = outputs.items()
        inside = _indented(_leaves(name, values), values.shape, 1)
    else:
        fields = [
            f"{_INDENT * 2}{_quoted(name)}: {_indented(_leaves(name, values), values.shape, 2)}"
            for name, values in outputs.items()
        ]
        inside = "{\n" + ",\n".join(fields) + f"\n{_INDENT}}}"
    return _encoded(f'{{\n{_INDENT}"outputs": {inside}\n}}')


def error_body(message: str) -> bytes:
    """Writes `{"error": message}`."""
    return _encoded(f'{{\n{_INDENT}"error": {_quoted(message)}\n}}')


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _check_some(outputs: Mapping) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")


def _rows(name: str, values: np.ndarray) -> list[str]:
    """JSON of each row, on one line."""
    if values.ndim > 1 and not values.size:
        rows: Any = np.empty(values.shape, np.int8).tolist()
        return [json.dumps(row) for row in rows]
    texts = _leaves(name, values)
    for size in reversed(values.shape[1:]):
        texts = [
            f"[{', '.join(texts[start : start + size])}]" for start in range(0, len(texts), size)
        ]
    return texts


def _indented(texts: list[str], shape: tuple[int, ...], depth: int) -> str:
    """JSON of nested lists, with a line for each value."""
    if not shape:
        return texts[0]
    if shape[0] == 0:
        return "[]"
    size = len(texts) // shape[0]
    inside = (
        texts
        if len(shape) == 1
        else [
            _indented(texts[row * size : (row + 1) * size], shape[1:], depth + 1)
            for row in range(shape[0])
        ]
    )
    start = f"\n{_INDENT * (depth + 1)}"
    return f"[{start}{f',{start}'.join(inside)}\n{_INDENT * depth}]"


def _leaves(name: str, values: np.ndarray) -> list[str]:
    kind = values.dtype.kind
    if kind == "O":
        items = values.ravel().tolist()
        if name.endswith(_BYTES_SUFFIX):
            return [f'{{"b64": "{base64.b64encode(item).decode()}"}}' for item in items]
        return [_quoted(item.decode("utf-8", "surrogateescape")) for item in items]
    if kind == "f" and values.dtype.itemsize in (4, 8):
        return _decimals(values)
    if kind == "b":
        return ["true" if item else "false" for item in values.ravel().tolist()]
    if kind in "iu" and values.dtype != np.uint16:
        return list(map(str, values.ravel().tolist()))
    dtype = values.dtype.name
    raise invalid(f"Failed to write JSON value for tensor type: {_TYPE_NAMES.get(dtype, dtype)}")


def _decimals(values: np.ndarray) -> list[str]:
    """Decimals with 6 digits if these are exact, else with 9 (float32) or 17 (float64)."""
    flat = values.ravel()
    exact = flat.tolist()
    texts = [f"{value:.6g}" for value in exact]
    # NaN never equals itself; it passes through here and is renamed below.
    again = np.array(texts, np.float64).astype(values.dtype)
    digits = 9 if values.dtype.itemsize == 4 else 17
    for position in np.flatnonzero(again != flat).tolist():
        texts[position] = f"{exact[position]:.{digits}g}"
    return [
        text if "." in text or "e" in text else _NAMES.get(text) or f"{text}.0" for text in texts
    ]


_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-nan": "NaN"}


def _quoted(text: str) -> str:
    if _ESCAPED.search(text):
        text = _ESCAPED.sub(_escape, text)
    return f'"{text}"'


def _escape(match: re.Match) -> str:
    return _SHORT.get(match[0]) or f"\\u{ord(match[0]):04X}"
