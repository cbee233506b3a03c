"""Which model of a server is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A model's name and, at most one of them, its version or its version's label."""

    name: str
    version: int | None = None
    label: str | None = None
