"""Errors of wrong options in one line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from tfrec_fusion.errors import InputError


class OneLineErrors(type(BaseModel)):  # type: ignore[misc]
    """Metaclass of pydantic models: `Model(...)` in Python raises InputError with one line.

    Where a config is validated, which calls no class, errors keep the place of the wrong key.
    """

    def __call__(cls, *args, **options) -> Any:
        model: Any = cls
        names = list(model.model_fields)
        if args:
            raise InputError(
                f"{cls.__name__}: options are given by name, as in {_used(names)}=...; the options "
                f"are {', '.join(names)}. Received: {args[0]!r:.200}"
            )
        try:
            return super().__call__(**options)
        except ValidationError as error:
            raise InputError(_line(cls.__name__, names, error)) from None


def _used(names: list[str]) -> str:
    return "column" if "column" in names else names[0]


def _line(name: str, options: list[str], error: ValidationError) -> str:
    found: list[Any] = error.errors()
    # A misspelt option is missing under its own name too.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    # After the number of a feature in a list comes its kind.
    place = [
        str(part)
        for at, part in enumerate(first["loc"])
        if not (at and isinstance(first["loc"][at - 1], int) and isinstance(part, str))
    ]
    where = ": ".join([name, ".".join(place)]) if place else name
    if first["type"] == "extra_forbidden" and len(place) == 1:
        return f"{where}: unknown option; the options are {', '.join(options)}"
    if first["type"] == "missing":
        return f"{where}: this option is needed"
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    return f"{where}: {message}. Received: {first['input']!r:.200}"
