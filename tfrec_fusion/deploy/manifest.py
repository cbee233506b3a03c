"""Writes YAML from data, and reads it back with a schema."""

from __future__ import annotations

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tfrec_fusion.config import read_yaml_documents
from tfrec_fusion.errors import InputError

_Schema = TypeVar("_Schema", bound=BaseModel)


class _Dumper(yaml.SafeDumper):
    """Writes equal values in full instead of as YAML aliases."""

    def ignore_aliases(self, data):
        return True


def dump(documents: list[Any]) -> str:
    """The YAML text of one or more documents; keys keep their order."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def load(text: str, file: str) -> list[Any]:
    """The documents of a YAML text.

    Raises:
      InputError: it is not YAML; names `file`.
    """
    try:
        return read_yaml_documents(text)
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from None


def checked(schema: type[_Schema], document: Any, file: str) -> _Schema:
    """Validates a document with a pydantic schema.

    Raises:
      InputError: a key is missing, unknown or of another type; names `file` and the key.
    """
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file}: {key}: {first['msg']}. Received: {first['input']!r}") from None
