"""The body of `:predict` as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tfrec_fusion.serving.server.codec import nested
from tfrec_fusion.serving.server.codec.debug_text import debug_text
from tfrec_fusion.serving.server.codec.json_text import parse_object, too_deep
from tfrec_fusion.serving.server.codec.tensor_slot import TensorSlot
from tfrec_fusion.serving.server.status import StatusError, invalid

_ROWS, _COLUMNS = "instances", "inputs"


@dataclass(frozen=True)
class JsonRequest:
    """A request to predict.

    Attributes:
      signature: its name; "" is the default one.
      inputs: name -> array; strings are `object` arrays of bytes.
      rows: whether it came as rows, which the answer then does as well.

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
        """Reads a body.

        Args:
          inputs_of: gives the inputs of a signature, or raises.

        Raises:
          StatusError: the body is not what the signature takes, said as TF Serving says it.
        """
        try:
            return cls._parse(parse_object(body), b"Inf" in body, inputs_of)
        except RecursionError:
            raise too_deep() from None

    @classmethod
    def _parse(cls, document: dict, infinite: bool, inputs_of: Callable) -> JsonRequest:
        """`infinite`: whether the document names infinity; else one was a number too big."""
        signature = document.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid(
                f"JSON Value: {debug_text(document)} not formatted correctly. "
                "'signature_name' key must be a string value."
            )
        slots = inputs_of(signature)
        if not slots:
            name = signature or "DEFAULT"
            raise invalid(f"Failed to get input map for signature: {name}")
        if _ROWS in document:
            _check_rows(document)
            return cls(signature, _from_rows(document[_ROWS], slots, infinite), True)
        if _COLUMNS in document:
            return cls(signature, _from_columns(document[_COLUMNS], slots, infinite), False)
        raise invalid("Missing 'inputs' or 'instances' key")


def _check_rows(document: dict) -> None:
    rows = document[_ROWS]
    if _COLUMNS in document:
        problem = (
            f"Not formatted correctly expecting only one of '{_COLUMNS}' or '{_ROWS}' keys to "
            "exist "
        )
    elif not isinstance(rows, list):
        problem = f"Expecting '{_ROWS}' to be an list/array"
    elif not rows:
        problem = f"No values in '{_ROWS}' array"
    else:
        return
    raise invalid(f"JSON Value: {debug_text(document)} {problem}")


def _from_columns(value, slots: Mapping[str, TensorSlot], infinite: bool) -> dict:
    if not isinstance(value, dict) or nested.is_base64(value):
        if len(slots) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        ((name, slot),) = slots.items()
        return {name: nested.array(value, slot, infinite)}
    found = {}
    for name, slot in slots.items():
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        found[name] = nested.array(value[name], slot, infinite)
    return found


def _from_rows(rows: list, slots: Mapping[str, TensorSlot], infinite: bool) -> dict:
    first = rows[0]
    if not isinstance(first, dict) and len(slots) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = _is_named(first)
    columns = _columns(rows, slots, named)
    if columns is not None:
        found = {
            name: nested.dense(column, slots[name], infinite) for name, column in columns.items()
        }
        if all(array is not None for array in found.values()):
            return found
    return _row_by_row(rows, slots, named, infinite)


def _is_named(row) -> bool:
    return isinstance(row, dict) and not nested.is_base64(row)


def _columns(rows: list, slots: Mapping[str, TensorSlot], named: bool) -> dict | None:
    """Input -> the values of all rows; None where the rows are not alike."""
    if not named:
        if any(type(row) is dict and _is_named(row) for row in rows):
            return None
        return {next(iter(slots)): rows}
    names = slots.keys()
    if not all(type(row) is dict and row.keys() == names for row in rows):
        return None
    return {name: [row[name] for row in rows] for name in names}


def _row_by_row(rows: list, slots: Mapping[str, TensorSlot], named: bool, infinite: bool) -> dict:
    """Slow; finds the mistake that TF Serving finds first."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in slots}
    for position, row in enumerate(rows):
        at = f"Failed to process element: {position}"
        if not named:
            if _is_named(row):
                raise invalid(
                    f"Expecting value/list but got object at item {position} of input list"
                )
            try:
                _add(row, next(iter(slots)), slots, found, infinite)
            except StatusError as error:
                raise invalid(f"{at} of 'instances' list. Error: {error}") from None
            continue
        if not _is_named(row):
            raise invalid(f"Expecting object but got list at item {position} of input list")
        for name, value in row.items():
            try:
                _add(value, name, slots, found, infinite)
            except StatusError as error:
                raise invalid(f"{at} key: {name} of 'instances' list. Error: {error}") from None
        if row.keys() != slots.keys():
            raise invalid(
                f"{at} of 'instances' list. JSON object: {debug_text(row)} keys must be equal to: "
                f"{','.join(sorted(slots))}"
            )
    return {name: np.stack(arrays) for name, arrays in found.items()}


def _add(value, name: str, slots: Mapping, found: dict, infinite: bool) -> None:
    if name not in slots:
        raise invalid(f"JSON object: does not have named input: {name}")
    array = nested.array(value, slots[name], infinite)
    if found[name]:
        first = found[name][0]
        if first.size != array.size:
            raise invalid(f"Expecting tensor size: {first.size} but got: {array.size}")
        if first.shape != array.shape:
            raise invalid(f"Expecting shape {_shape(first)} but got: {_shape(array)}")
    found[name].append(array)


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
