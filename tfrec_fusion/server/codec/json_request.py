"""Parses the JSON body of `:predict` into arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.deploy.status import invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.codec import nested
from tfrec_fusion.server.codec.json_text import parse_object, shown

_ROWS, _COLUMNS = "instances", "inputs"


@dataclass(frozen=True)
class JsonRequest:
    """A parsed `:predict` request.

    Attributes:
      signature: name of the signature; "" for the default one.
      inputs: name -> array; strings as `object` arrays of bytes.
      rows: whether the request used the row format ("instances"); the answer uses the same format.

    Example:
      >>> slots = {"x": TensorSlot(1, (None,))}
      >>> JsonRequest.parse(b'{"instances": [1, 2.5]}', lambda signature: slots).inputs["x"]
      array([1. , 2.5], dtype=float32)
    """

    signature: str
    inputs: dict[str, np.ndarray]
    rows: bool

    @classmethod
    def parse(
        cls, body: bytes, inputs_of: Callable[[str], Mapping[str, TensorSlot]]
    ) -> JsonRequest:
        """Parses a body in time linear in its size.

        Args:
          inputs_of: returns the input slots of a signature, or raises.

        Raises:
          StatusError: the body is no JSON or does not match the signature.
        """
        document = parse_object(body)
        signature = document.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid(f"'signature_name' must be a string. Received: {shown(signature)}")
        slots = inputs_of(signature)
        if not slots:
            raise invalid(f"signature {signature or 'DEFAULT'} has no inputs")
        if (_ROWS in document) == (_COLUMNS in document):
            problem = "Expecting only one of" if _ROWS in document else "Missing"
            raise invalid(f"{problem} '{_COLUMNS}' or '{_ROWS}' keys")
        rows = _ROWS in document
        columns = _of_rows(document[_ROWS], slots) if rows else _named(document[_COLUMNS], slots)
        inputs = {name: nested.array(columns[name], name, slot) for name, slot in slots.items()}
        return cls(signature, inputs, rows)


def _is_named(value) -> bool:
    return isinstance(value, dict) and not nested.is_base64(value)


def _named(value, slots: Mapping[str, TensorSlot]) -> Mapping:
    """Input -> value; a bare value belongs to the signature's only input."""
    if not _is_named(value):
        return {_only(slots, _COLUMNS, value): value}
    for name in slots:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return value


def _of_rows(rows, slots: Mapping[str, TensorSlot]) -> Mapping:
    """Input -> the values of all rows."""
    if not isinstance(rows, list):
        raise invalid(f"Expecting '{_ROWS}' to be an list/array. Received: {shown(rows)}")
    if not rows:
        raise invalid(f"No values in '{_ROWS}' array")
    if not _is_named(rows[0]):
        name = _only(slots, _ROWS, rows[0])
        for position, row in enumerate(rows):
            if type(row) is dict and _is_named(row):
                raise invalid(f"Expecting value/list but got object at item {position}")
        return {name: rows}
    names = slots.keys()
    for position, row in enumerate(rows):
        if type(row) is not dict:
            raise invalid(f"Expecting object at item {position}. Received: {shown(row)}")
        if row.keys() != names:
            raise invalid(
                f"item {position} of '{_ROWS}': keys must be equal to: {','.join(sorted(names))}"
            )
    return {name: [row[name] for row in rows] for name in names}


def _only(slots: Mapping[str, TensorSlot], form: str, value) -> str:
    """The name of the signature's only input; raises if there are several."""
    if len(slots) > 1:
        raise invalid(
            f"'{form}' must name the inputs {','.join(sorted(slots))}. Received: {shown(value)}"
        )
    return next(iter(slots))
