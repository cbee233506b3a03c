"""A JSON value as it stands in TF Serving's error messages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

_MAX_BYTES = 256
_INDENT = "    "


def debug_text(value) -> str:
    """`value` as indented JSON with lists on one line, cut off soon after 256 bytes.

    Example:
      >>> debug_text([1, "x", None])
      '[1, "x", null]'
    """
    found, size = [], 0
    for token in _tokens(value, 0):
        # What was begun is written whole; nothing new is begun past the limit.
        if size >= _MAX_BYTES:
            break
        found.append(token)
        size += len(token.encode("utf-8", "surrogatepass"))
    return "".join(found)


def type_name(value) -> str:
    """The kind of a JSON value, e.g. "Array"."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    kinds = {dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


def _tokens(value, depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for position, (name, item) in enumerate(value.items()):
            comma = "," if position else ""
            yield f"{comma}\n{_INDENT * (depth + 1)}{json.dumps(name, ensure_ascii=False)}: "
            yield from _tokens(item, depth + 1)
        yield f"\n{_INDENT * depth}}}" if value else "}"
    elif isinstance(value, list):
        yield "["
        for position, item in enumerate(value):
            if position:
                yield ", "
            yield from _tokens(item, depth + 1)
        yield "]"
    elif isinstance(value, float):
        yield _number(value)
    else:
        yield json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
