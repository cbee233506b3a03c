"""The model that a client calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A model's name and optionally either a version or a version label."""

    name: str
    version: int | None = None
    label: str | None = None
