"""Descriptions of the inputs and outputs of an export's signatures, shared by all consumers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfrec_fusion.errors import InputError

NOTHING = b"\xff"
"""Not valid UTF-8, so never an id: an allow-list with only this value excludes every item."""

RANKED = ("serving_default", "recommend", "recommend_user", "recommend_history")
"""Signatures whose answers are lists of the best items for users."""

KINDS = (
    *("", "user", "item", "age", "choice", "count", "time", "date", "example"),
    *("query", "vector"),
)
_SHAPE = re.compile(r"\[(\w+(, \w+)*)?\]")
_FLOATS = ("float", "float16", "bfloat16", "float32", "float64", "double", "half")


def neutral(dtype: str) -> str | float | int | bool:
    """Returns the value of an unused input: "" for strings, NaN for floats, False, or else 0.

    All signatures follow this rule, so a client can fill unused inputs from their dtypes alone.

    Args:
      dtype: TensorFlow's name of the dtype.
    """
    if dtype in _FLOATS:
        return float("nan")
    return {"string": "", "bool": False}.get(dtype, 0)


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a signature.

    Attributes:
      name: its name in requests.
      dtype: TensorFlow's name of its dtype.
      shape: letters and sizes, e.g. "[B, H]"; equal letters mean equal sizes within a signature.
      meaning: a description in words.
      kind: the kind of an input, for sample requests and forms: "user" or "item" for ids, "age" for
        days since the items of a history, "choice" for the item ids that a response may contain,
        "count" for the number of items requested, "time" for the time of the request and "date" for
        other times, in unix seconds, "example" for serialized `tf.Example`s, "query" for texts to
        search for and "vector" for their vectors, "" for anything else.

    Raises:
      InputError: an unknown kind, or a shape in another format.

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
        """The size of each dimension; None for a variable size."""
        letters = [letter for letter in self.shape[1:-1].split(", ") if letter]
        return tuple(int(letter) if letter.isdigit() else None for letter in letters)

    @property
    def neutral(self) -> str | float | int | bool:
        """The value of an unused input; see `neutral`."""
        return neutral(self.dtype)

    @property
    def text(self) -> str:
        """Dtype, shape and meaning as in the model card, e.g. "string [B]: user ids"."""
        described = f"{self.dtype} {self.shape}"
        return f"{described}: {self.meaning}" if self.meaning else described

    @classmethod
    def of_text(cls, name: str, text: str, kind: str = "") -> Tensor:
        """Parses a tensor from the text of a model card."""
        described, _, meaning = text.partition(": ")
        dtype, _, shape = described.partition(" ")
        return cls(name, dtype, shape, meaning, kind)


@dataclass(frozen=True)
class Signature:
    """A signature of an export: its name, purpose, inputs and outputs.

    Attributes:
      name: its name in requests.
      does: its purpose in words.
      inputs, outputs: its tensors, in display order.
      features: the features of the `tf.Example`s, if the input is of the kind "example".
    """

    name: str
    does: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[Tensor, ...] = ()

    @property
    def kinds(self) -> dict[str, str]:
        """Input name -> kind, for the inputs with a kind."""
        return {tensor.name: tensor.kind for tensor in self.inputs if tensor.kind}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> dict[str, Signature]:
        """Parses name -> signature from a version's model card; empty if it describes none."""
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
    """Returns the model card's "signatures" and "kinds", the inverse of `Signature.from_card`.

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
