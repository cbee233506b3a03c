"""Names of the shares of a model's inputs in a score."""

from __future__ import annotations

from collections.abc import Iterable

_SHARE = "share_"


def share_output(name: str) -> str:
    """The output with the share of an input of the model."""
    return _SHARE + name


def explained_inputs(outputs: Iterable[str]) -> list[str]:
    """The inputs of the model with a share among the outputs: ids, vectors by name, context."""
    names = [name.removeprefix(_SHARE) for name in outputs if name.startswith(_SHARE)]
    return sorted(names, key=lambda name: (name == "context", name != "id", name))
