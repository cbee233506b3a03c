"""What the page asks for, from the inputs of a signature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfrec_fusion.deploy.status import invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.page.item_index import first_lines
from tfrec_fusion.signature import Signature

_ITEMS = ("item", "choice")
_SIGNATURES = ("recommend", "score")
_MOST_CHOICES = 500
_K = 10
# kind -> what a value is, in words
_KINDS = {
    "items": "a list of item ids",
    "texts": "a list of texts",
    "text": "a text",
    "integer": "a whole number",
    "number": "a number or null",
    "flag": "true or false",
}
_INT32 = 2**31


class Form:
    """The fields of one signature for one user.

    Args:
      signature: its name.
      slots: its inputs.
      card: the version's model card; {} without.
      version: the version's folder.

    Attributes:
      fields: dicts with `name`, `kind` (one of "items", "texts", "text", "integer", "number",
        "flag"), `does`, a text, and `choices`, known values of texts.
    """

    def __init__(self, signature: str, slots: Mapping[str, TensorSlot], card: dict, version: Path):
        self.signature, self._slots = signature, slots
        described = Signature.from_card(card).get(signature)
        self.does = described.does if described else ""
        known = {tensor.name: tensor for tensor in described.inputs} if described else {}
        # The card's order is that of its author; the graph's is the alphabet's.
        names = sorted(slots, key=lambda name: [*known, name].index(name))
        self.fields = [
            {
                "name": name,
                "kind": _kind(slots[name], known[name].kind if name in known else ""),
                "does": known[name].meaning if name in known else "",
                "choices": _choices(name, card, version),
            }
            for name in names
        ]

    @classmethod
    def of(cls, signatures: Mapping, card: dict, version: Path) -> Form | None:
        """The form of the signature that recommends, or that scores items; None without one.

        Args:
          signatures: name -> its `inputs` and `outputs`.
        """
        for name in _SIGNATURES:
            slots = getattr(signatures.get(name), "inputs", {})
            fits = slots and all(map(_kind, slots.values()))
            if fits and "score" in signatures[name].outputs:
                return cls(name, slots, card, version)
        return None

    def to_dict(self) -> dict:
        """For the page."""
        return {"signature": self.signature, "does": self.does, "fields": self.fields}

    def arrays(self, given: Mapping) -> dict[str, np.ndarray]:
        """The inputs of a batch of one user.

        Args:
          given: name -> value; a field that is left out, or None, gets what changes nothing.

        Raises:
          StatusError: INVALID_ARGUMENT; names the field.
        """
        if not isinstance(given, Mapping):
            raise invalid("inputs must be an object")
        unknown = sorted(set(given) - set(self._slots))
        if unknown:
            raise invalid(f"no field {unknown[0]!r}. The fields: {sorted(self._slots)}")
        found = {}
        for field in self.fields:
            name, kind = field["name"], field["kind"]
            try:
                value = _READ[kind](given.get(name))
            except (TypeError, ValueError, OverflowError):
                raise invalid(
                    f"{name} must be {_KINDS[kind]}. Received: {given[name]!r:.100}"
                ) from None
            found[name] = np.array([value], self._slots[name].numpy_type)
        return found


def _kind(slot: TensorSlot, described: str = "") -> str | None:
    """None for what a form cannot ask for.

    Args:
      described: kind of the tensor, as in `tfrec_fusion.signature`.
    """
    rank = -1 if slot.shape is None else len(slot.shape)
    if slot.type_name == "string":
        return {1: "text", 2: "items" if described in _ITEMS else "texts"}.get(rank)
    kinds = {"int32": "integer", "int64": "integer", "float": "number", "bool": "flag"}
    return kinds.get(slot.type_name) if rank == 1 else None


def _choices(name: str, card: dict, version: Path) -> list[str]:
    known = card.get("data_spec", {}).get("context_categories", {}).get(name)
    if known is None:
        known = first_lines(version / "assets" / f"filter_{name}.txt", _MOST_CHOICES)
    return sorted(known)[:_MOST_CHOICES]


def _texts(value) -> list[bytes]:
    values = value or []
    if not isinstance(values, list):
        raise TypeError
    return [_text(one) for one in values] or [b""]


def _text(value) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise TypeError
    return value.encode("utf-8", "surrogatepass")


def _integer(value) -> int:
    value = _K if value is None else value
    if type(value) is not int:
        raise TypeError
    if not -_INT32 <= value < _INT32:
        raise ValueError
    return value


def _number(value) -> float:
    if value is None:
        return float("nan")
    if type(value) not in (int, float):
        raise TypeError
    return float(value)


def _flag(value) -> bool:
    if value not in (None, False, True):
        raise TypeError
    return bool(value)


_READ = {
    "items": _texts,
    "texts": _texts,
    "text": _text,
    "integer": _integer,
    "number": _number,
    "flag": _flag,
}
