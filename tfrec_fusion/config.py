"""Settings in files."""

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
    """The nested mapping in a YAML or JSON file.

    Args:
      path: of the file.
      name: what the file is, for messages.

    Raises:
      InputError: no such file, its content is no mapping, or a key occurs twice in a mapping, of
        which one value would be lost.
    """
    path, text = _text(path, name)
    try:
        # JSON is read as such too: YAML takes its 1e-3 for a text.
        values = _parsed(text) if path.suffix.lower() == ".json" else yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as YAML or JSON ({reason})") from None
    return _mapping(values, path)


def read_json(path: str | os.PathLike, name: str) -> dict[str, Any]:
    """The mapping in a JSON file; see `read_mapping`.

    Raises:
      InputError: no such file, it is not JSON, no mapping, or a key occurs twice in a mapping.
    """
    path, text = _text(path, name)
    try:
        values = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: {path} is not JSON ({error}); write it again") from None
    return _mapping(values, path)


def read_yaml_documents(text: str) -> list[Any]:
    """The documents of a YAML text.

    Raises:
      yaml.YAMLError: not YAML, or a key occurs twice in a mapping.
    """
    return list(yaml.load_all(text, _Loader))


def distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """`object_pairs_hook` of `json.loads`: ValueError where a key occurs twice in an object."""
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
    """YAML in which a key may occur once in a mapping; what `<<` merges may be overridden."""

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
