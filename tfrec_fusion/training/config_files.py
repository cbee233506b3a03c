"""Reads config files and merges nested mappings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfrec_fusion import config
from tfrec_fusion.paths import local_path


def read_mapping(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the nested mapping of a YAML or JSON file, and makes its paths absolute.

    Relative paths start at the file's folder.

    Raises:
      InputError: the file does not exist, or its content is not a mapping.
    """
    path = Path(path)
    values = config.read_mapping(path, "config")
    base = path.resolve().parent
    if isinstance(values.get("data"), dict):
        values["data"] = with_absolute_paths(values["data"], base)
    if isinstance(values.get("from_run"), str):
        values["from_run"] = str(
            base / local_path(os.path.expanduser(values["from_run"]), "from_run")
        )
    return values


def with_absolute_paths(data: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Returns the `data` section with its paths made absolute from `base`."""

    def absolute(value, key):
        if not isinstance(value, str):
            return value
        return str(base / local_path(os.path.expanduser(value), f"data.{key}"))

    data = dict(data)
    for key in ("interactions", "items", "users"):
        if key in data:
            data[key] = absolute(data[key], key)
    for key in ("vectors", "user_vectors", "event_vectors"):
        if isinstance(data.get(key), Mapping):
            data[key] = {
                name: absolute(value, f"{key}.{name}") for name, value in data[key].items()
            }
    return data


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merges nested mappings; values of `over` replace those of `base`."""
    result = dict(base)
    for key, value in over.items():
        mine = result.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            result[key] = merged(mine, value)
        else:
            result[key] = value
    return result
