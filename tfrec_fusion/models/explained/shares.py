"""Names of the outputs with the shares of a score."""

from __future__ import annotations

from collections.abc import Iterable

_SHARE = "share_"


def share_output(name: str) -> str:
    """Returns the name of the output with the share of an input."""
    return _SHARE + name


def explained_inputs(outputs: Iterable[str]) -> list[str]:
    """Returns the inputs whose shares are among the outputs: "id", vectors by name, "context"."""
    names = [name.removeprefix(_SHARE) for name in outputs if name.startswith(_SHARE)]
    return sorted(names, key=lambda name: (name == "context", name != "id", name))
