"""What a signature of an export takes and gives, as data that every consumer reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfrec_fusion.errors import InputError

NOTHING = b"\xff"
"""No UTF-8, so neither an id nor a text: a list of it alone lets nothing come back."""

KINDS = ("", "user", "item", "choice", "count", "example")
_SHAPE = re.compile(r"\[(\w+(, \w+)*)?\]")
_FLOATS = ("float", "float16", "bfloat16", "float32", "float64", "double", "half")


def neutral(dtype: str) -> str | float | int | bool:
    """The value of an input that changes nothing: "", NaN, False, or else 0.

    All signatures hold to it, so a client that knows an input's dtype alone can leave it out.

    Args:
      dtype: TensorFlow's name of it.
    """
    if dtype in _FLOATS:
        return float("nan")
    return {"string": "", "bool": False}.get(dtype, 0)


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a signature.

    Attributes:
      name: in requests.
      dtype: TensorFlow's name of it.
      shape: letters and sizes, e.g. "[B, H]"; the same letter is the same size throughout a
        signature.
      meaning: in words.
      kind: of an input, for sample requests and forms: "user" and "item" are ids, "choice" item ids
        to which an answer is restricted, "count" how many items are asked for, "example" serialized
        `tf.Example`s, "" anything else.

    Raises:
      InputError: another kind, or a shape that is written otherwise.

    Example:
      >>> Tensor("history", "string", "[B, H]", "item ids", kind="item").text
      'string [B, H]: item ids'
    """

    name: str
    dtype: str
    shape: str = "[B]"
    meaning: str = ""
    kind: str = ""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(
                f"Tensor: {self.name}: kind must be one of {KINDS}. Received: {self.kind!r}"
            )
        if not _SHAPE.fullmatch(self.shape):
            raise InputError(
                f"Tensor: {self.name}: shape must be like '[B, H]'. Received: {self.shape!r}"
            )

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The size of each dimension, None where any is taken."""
        letters = [letter for letter in self.shape[1:-1].split(", ") if letter]
        return tuple(int(letter) if letter.isdigit() else None for letter in letters)

    @property
    def neutral(self) -> str | float | int | bool:
        """The value that changes nothing; see `neutral`."""
        return neutral(self.dtype)

    @property
    def text(self) -> str:
        """Dtype, shape and meaning, as in the model card."""
        described = f"{self.dtype} {self.shape}"
        return f"{described}: {self.meaning}" if self.meaning else described

    @classmethod
    def of_text(cls, name: str, text: str, kind: str = "") -> Tensor:
        """The tensor of a model card's text."""
        described, _, meaning = text.partition(": ")
        dtype, _, shape = described.partition(" ")
        return cls(name, dtype, shape, meaning, kind)


@dataclass(frozen=True)
class Signature:
    """What a signature is called, does, takes and gives.

    Attributes:
      name: in requests.
      does: in words.
      inputs, outputs: in the order in which they are shown.
      features: of the `tf.Example`s, where the input is of the kind "example".
    """

    name: str
    does: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[Tensor, ...] = ()

    @property
    def kinds(self) -> dict[str, str]:
        """Input -> its kind, where it has one."""
        return {tensor.name: tensor.kind for tensor in self.inputs if tensor.kind}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> dict[str, Signature]:
        """Signature by name of a version, from its model card; empty where that describes none."""
        kinds = card.get("kinds") or {}
        return {
            name: cls(
                name,
                described.get("does", ""),
                *(
                    _tensors(described.get(part) or {}, (kinds.get(name) or {}).get(part) or {})
                    for part in ("inputs", "outputs", "features")
                ),
            )
            for name, described in (card.get("signatures") or {}).items()
        }


def card_entries(signatures: Iterable[Signature]) -> dict[str, dict]:
    """The model card's "signatures" and "kinds", of which `Signature.from_card` makes them again.

    Example:
      >>> user = Tensor("user_id", "string", "[B]", "user ids", kind="user")
      >>> card = card_entries([Signature("best", "the best item", (user,), ())])
      >>> card["signatures"]["best"]["inputs"], card["kinds"]["best"]
      ({'user_id': 'string [B]: user ids'}, {'inputs': {'user_id': 'user'}})
    """
    described, kinds = {}, {}
    for signature in signatures:
        parts = {"inputs": signature.inputs}
        if signature.features:
            parts["features"] = signature.features
        parts["outputs"] = signature.outputs
        described[signature.name] = {"does": signature.does} | {
            part: {tensor.name: tensor.text for tensor in tensors}
            for part, tensors in parts.items()
        }
        kinds[signature.name] = {
            part: {tensor.name: tensor.kind for tensor in tensors if tensor.kind}
            for part, tensors in parts.items()
            if any(tensor.kind for tensor in tensors)
        }
    return {"signatures": described, "kinds": kinds}


def _tensors(texts: Mapping[str, str], kinds: Mapping[str, str]) -> tuple[Tensor, ...]:
    return tuple(Tensor.of_text(name, text, kinds.get(name, "")) for name, text in texts.items())
