"""Reads YAML and JSON files into mappings, rejecting duplicate keys."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

_MERGE = "tag:yaml.org,2002:merge"


def read_mapping(path: str | os.PathLike, name: str) -> dict[str, Any]:
    """Reads the nested mapping of a YAML or JSON file.

    Args:
      path: path of the file.
      name: what the file is, for error messages.

    Raises:
      InputError: the file does not exist, is not a mapping, or has a key twice in a mapping.
    """
    path, text = _text(path, name)
    try:
        # A JSON parser reads JSON, because YAML parses 1e-3 as a string.
        values = _parsed(text) if path.suffix.lower() == ".json" else yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as YAML or JSON ({reason})") from None
    return _mapping(values, path)


def read_json(path: str | os.PathLike, name: str) -> dict[str, Any]:
    """Reads the mapping of a JSON file; see `read_mapping`.

    Raises:
      InputError: the file does not exist, is not JSON, is not a mapping, or has a key twice in a
        mapping.
    """
    path, text = _text(path, name)
    try:
        values = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: {path} is not JSON ({error}); write it again") from None
    return _mapping(values, path)


def read_yaml_documents(text: str) -> list[Any]:
    """Parses the documents of a YAML string.

    Raises:
      yaml.YAMLError: the string is not YAML, or has a key twice in a mapping.
    """
    return list(yaml.load_all(text, _Loader))


def distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """`object_pairs_hook` for `json.loads` that raises ValueError for a duplicate key."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {repeated!r} occurs twice; keep one")
    return values


def _text(path: str | os.PathLike, name: str) -> tuple[Path, str]:
    path = local_path(path, name)
    try:
        return path, path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{name}: cannot read the file ({error.strerror}). Received: {path}"
        ) from None
    except UnicodeError as error:
        raise InputError(f"{name}: {path} is not UTF-8 ({error})") from None


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=distinct_keys)


def _mapping(values: Any, path: Path) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: must hold a mapping of keys to values. Received: {type(values).__name__}"
        )
    return values


class _Loader(yaml.SafeLoader):
    """YAML loader that rejects duplicate keys; keys merged by `<<` may be overridden."""

    def construct_mapping(self, node, deep=False):
        if isinstance(node, yaml.MappingNode):
            lines: dict[Any, int] = {}
            for key_node, _ in node.value:
                if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                    continue
                key = self.construct_object(key_node)
                line = key_node.start_mark.line + 1
                if key in lines:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {key!r} occurs twice, in lines {lines[key]} and {line}; "
                        "keep one"
                    )
                lines[key] = line
        return super().construct_mapping(node, deep)
