"""Registries of built-in classes by name, with `module:name` for custom ones."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tfrec_fusion.errors import InputError


def load(path: str) -> Any:
    """Imports the object `module:name`; the module may also be in the working directory.

    Raises:
      ImportError: the module does not exist or cannot be imported.
      AttributeError: the module has no such name.
    """
    module, _, name = path.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        here = os.getcwd()
        if error.name != module.partition(".")[0] or here in sys.path:
            raise
        sys.path.append(here)
        try:
            found = importlib.import_module(module)
        finally:
            sys.path.remove(here)
    return getattr(found, name)


class Registry(Mapping[str, str]):
    """Registry of the built-in classes or functions of one kind, imported on demand.

    Args:
      kind: the kind, for error messages, e.g. "fusion".
      entries: name -> `module:name` of the class or function.

    Example:
      >>> Registry("fusion", {"sum": "tfrec_fusion.layers:SumFusion"}).resolve("sum").__name__
      'SumFusion'
    """

    def __init__(self, kind: str, entries: Mapping[str, str]):
        self.kind, self._entries = kind, dict(entries)

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def resolve(self, value: Any) -> Any:
        """Imports a built-in name or a custom `module:name`; returns other values unchanged.

        Raises:
          InputError: the name is unknown, or `module:name` cannot be imported.
        """
        if not isinstance(value, str):
            return value
        if value in self._entries:
            return load(self._entries[value])
        if ":" not in value:
            built_in = f"one of {', '.join(self)}, or " if self else ""
            raise InputError(
                f"{self.kind}: must be {built_in}module:name of your own. Received: {value!r}"
            )
        try:
            return load(value)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"{self.kind}: {value!r} cannot be imported: {error}; the module must be installed "
                "or in the working directory"
            ) from error
