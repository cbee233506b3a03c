"""Form of the page, derived from the inputs of a signature."""

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
_SEARCH, _QUERY = "search", "query"
_MOST_CHOICES = 500
_K = 10
# kind -> description of its values for error messages
_KINDS = {
    "items": "a list of item ids",
    "texts": "a list of texts",
    "numbers": "a list of numbers",
    "text": "a text",
    "integer": "a whole number",
    "number": "a number or null",
    "flag": "true or false",
}
_INT32 = 2**31


class Form:
    """Form fields for calling one signature for one user.

    Args:
      signature: name of the signature.
      slots: its inputs.
      card: the version's model card; {} without one.
      version: the version's folder.

    Attributes:
      does: description of the signature, or "".
      search: the form of the signature `search`, if the version searches by texts: its field
        `query` is then one of this form too, and a question with a text goes to that signature.
      fields: dicts with `name`, `kind` ("items", "texts", "numbers", "text", "integer",
        "number" or "flag"),
        `does` (a description) and `choices` (known values of text fields).
    """

    def __init__(self, signature: str, slots: Mapping[str, TensorSlot], card: dict, version: Path):
        self.signature, self._slots = signature, slots
        self.search: Form | None = None
        described = Signature.from_card(card).get(signature)
        self.does = described.does if described else ""
        known = {tensor.name: tensor for tensor in described.inputs} if described else {}
        # Order fields as in the card; the graph has them in alphabetical order.
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
        """The form of the signature `recommend` or else `score`; None if neither fits a form.

        Args:
          signatures: name -> object with `inputs` and `outputs`.
          card: the version's model card; {} without one.
          version: the version's folder.
        """
        for name in _SIGNATURES:
            slots = getattr(signatures.get(name), "inputs", {})
            fits = slots and all(map(_kind, slots.values()))
            if fits and "score" in signatures[name].outputs:
                found = cls(name, slots, card, version)
                asked = getattr(signatures.get(_SEARCH), "inputs", {})
                if name == "recommend" and _QUERY in asked:
                    found.search = cls(_SEARCH, asked, card, version)
                return found
        return None

    def question(self, given: Mapping) -> tuple[Form, Mapping]:
        """The form to ask and its values: `search`, without what it does not take, for a text.

        Args:
          given: name -> value, as for `arrays`.

        Raises:
          StatusError: INVALID_ARGUMENT; an unknown field.
        """
        if self.search is None or not isinstance(given, Mapping):
            return self, given
        plain = {name: value for name, value in given.items() if name != _QUERY}
        if not given.get(_QUERY):
            return self, plain
        self._check_names(plain)
        taken = self.search._slots
        return self.search, {name: value for name, value in given.items() if name in taken}

    def to_dict(self) -> dict:
        """The form as JSON types."""
        more = [] if self.search is None else self.search.fields
        fields = [field for field in more if field["name"] == _QUERY] + self.fields
        return {"signature": self.signature, "does": self.does, "fields": fields}

    def arrays(self, given: Mapping) -> dict[str, np.ndarray]:
        """Converts field values to input arrays with a batch of one user.

        Args:
          given: name -> value; missing or None fields get a value without effect.

        Raises:
          StatusError: INVALID_ARGUMENT; an unknown field, or a value of a wrong type.
        """
        if not isinstance(given, Mapping):
            raise invalid("inputs must be an object")
        self._check_names(given)
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

    def _check_names(self, given: Mapping) -> None:
        unknown = sorted(set(given) - set(self._slots))
        if unknown:
            raise invalid(f"unknown field {unknown[0]!r}; use one of {sorted(self._slots)}")


def _kind(slot: TensorSlot, described: str = "") -> str | None:
    """The kind of an input's field; None if a form cannot hold it.

    Args:
      described: kind of the tensor, as in `tfrec_fusion.signature`.
    """
    rank = -1 if slot.shape is None else len(slot.shape)
    if slot.type_name == "string":
        return {1: "text", 2: "items" if described in _ITEMS else "texts"}.get(rank)
    if slot.type_name in ("float", "double"):
        return {1: "number", 2: "numbers"}.get(rank)
    kinds = {"int32": "integer", "int64": "integer", "bool": "flag"}
    return kinds.get(slot.type_name) if rank == 1 else None


def _choices(name: str, card: dict, version: Path) -> list[str]:
    known = card.get("choices", {}).get(name)
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


def _numbers(value) -> list[float]:
    values = [] if value is None else value
    if not isinstance(values, list):
        raise TypeError
    return [_number(one) for one in values] or [float("nan")]


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
    "numbers": _numbers,
    "text": _text,
    "integer": _integer,
    "number": _number,
    "flag": _flag,
}
