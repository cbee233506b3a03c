"""Settings in files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tfrec_fusion.errors import InputError


def read_mapping(path: str | os.PathLike, name: str) -> dict[str, Any]:
    """The nested mapping in a YAML or JSON file.

    Args:
      path: of the file.
      name: what the file is, for messages.

    Raises:
      InputError: no such file, or its content is no mapping.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{name}: cannot read the file ({error.strerror}). Received: {path}"
        ) from None
    except (yaml.YAMLError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as YAML or JSON ({reason})") from None
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: must hold a mapping of keys to values. Received: {type(values).__name__}"
        )
    return values
