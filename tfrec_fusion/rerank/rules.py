"""Business rules for recommendations: their file format and its checks."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from tfrec_fusion.config import read_mapping
from tfrec_fusion.errors import InputError

# Higher positions of a pin are probably mistakes.
_LAST_POSITION = 1000
_RANGE = {"min", "max"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Target(_Section):
    """An item, or all items with certain values."""

    item: StrictStr | None = None
    match: dict[StrictStr, Any] | None = Field(default=None, min_length=1)

    @field_validator("match")
    @classmethod
    def _values_are_known(cls, match):
        for column, value in (match or {}).items():
            if isinstance(value, dict):
                numbers = value and set(value) <= _RANGE and all(map(_is_number, value.values()))
                if not numbers:
                    raise ValueError(f"{column}: a range is a mapping of min and max to numbers")
            elif isinstance(value, list):
                if not value or not all(isinstance(one, str) or _is_number(one) for one in value):
                    raise ValueError(f"{column}: a list holds texts or numbers, at least one")
            elif not isinstance(value, str | bool) and not _is_number(value):
                raise ValueError(
                    f"{column}: must be a text, a number, true, false, a list of them "
                    "or a range like {min: 1, max: 2}"
                )
        return match

    @model_validator(mode="after")
    def _one_of_both(self):
        if (self.item is None) == (self.match is None):
            raise ValueError("give either item or match")
        return self


class Boost(_Target):
    """Multiplies the odds of items by `factor`: adds log(factor) to their scores."""

    factor: Annotated[PositiveFloat, Field(allow_inf_nan=False)]


class Block(_Target):
    """Keeps items out of all recommendations."""


class Pin(_Section):
    """Pins an item to a position, counted from 1."""

    item: StrictStr
    position: Annotated[PositiveInt, Field(le=_LAST_POSITION)]


class Cap(_Section):
    """Allows at most `at_most` items with the same value of column `by` in a response."""

    by: StrictStr
    at_most: PositiveInt


class Rules(_Section):
    """Boosts, blocks, pins and caps of recommendations; `docs/serving.md` explains them.

    Example:
      >>> rules = Rules.of({"boost": [{"match": {"category": "cheese"}, "factor": 1.5}]})
    """

    boost: tuple[Boost, ...] = ()
    block: tuple[Block, ...] = ()
    pin: tuple[Pin, ...] = ()
    cap: tuple[Cap, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str = "rules") -> Rules:
        """Validates nested mappings and lists, and returns their rules.

        Args:
          values: the keys `boost`, `block`, `pin` and `cap`.
          source: name of the rules in errors.

        Raises:
          InputError: one line with the key's path, e.g. `rules.yaml: boost.0.factor: Input should
            be greater than 0. Received: -3`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(f"{source}: {_first(error)}") from None

    @classmethod
    def load(cls, path: str | os.PathLike) -> Rules:
        """Reads a YAML or JSON file.

        Raises:
          InputError: the file does not exist or holds no mapping, or as in `of`.
        """
        return cls.of(read_mapping(path, "rules"), str(path))


def _is_number(value) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


_SECTIONS = {"boost": Boost, "block": Block, "pin": Pin, "cap": Cap}


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = _SECTIONS.get(str(first["loc"][0]), Rules) if len(first["loc"]) > 1 else Rules
        return f"{path}: unknown key; the keys here are {', '.join(section.model_fields)}"
    if first["type"] == "missing":
        return f"{path}: this key is needed"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_type" and first["input"] is not None:
        message += "; put it in quotes"
    return f"{path or 'rules'}: {message}. Received: {first['input']!r}"
