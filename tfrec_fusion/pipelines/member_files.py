"""Saves and loads the members of a blend or stack."""

from __future__ import annotations

from pathlib import Path

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.model import Model
from tfrec_fusion.registry import load

_KERAS = ".keras"


def save_member(member: Model, folder: Path, name: str) -> dict[str, str]:
    """Saves a member in a folder, and returns its class and its file for `load_member`."""
    made = type(member)
    # Classes with a `load` of their own save what it reads; the others save in Keras's format.
    file = name if hasattr(made, "load") else name + _KERAS
    member.save(folder / file)
    return {"class": f"{made.__module__}:{made.__qualname__}", "file": file}


def load_member(described: dict[str, str], folder: Path, name: str) -> Model:
    """Loads a member that `save_member` saved.

    Raises:
      InputError: its class cannot be imported, or its file is gone.
    """
    path = folder / described["file"]
    if not path.exists():
        raise InputError(f"members: the file of the member {name!r} is missing. Received: {path}")
    try:
        made = load(described["class"])
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"members: the class of the member {name!r} cannot be imported: {error}; the module "
            "must be installed or in the working directory"
        ) from None
    if path.suffix == _KERAS:
        return keras.models.load_model(path, compile=False)
    return made.load(path)
