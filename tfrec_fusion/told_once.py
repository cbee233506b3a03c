"""Warnings that are told once where the same models are trained again and again."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_told: ContextVar[set[Hashable] | None] = ContextVar("told", default=None)


@contextmanager
def told_once() -> Iterator[None]:
    """Within it, `is_new` is true once for each key; one inside another is part of the outer one.

    It is a decorator too.

    Example:
      >>> with told_once():
      ...     [is_new("TwoTower", "few batches") for fold in range(3)]
      [True, False, False]
      >>> is_new("TwoTower", "few batches")
      True
    """
    if _told.get() is not None:
        yield
        return
    token = _told.set(set())
    try:
        yield
    finally:
        _told.reset(token)


def is_new(*key: Hashable) -> bool:
    """Returns whether a warning is to be told: always, but within `told_once` the first time.

    Args:
      key: what tells it apart from other warnings, e.g. the model that it is about.
    """
    told = _told.get()
    if told is None:
        return True
    before = len(told)
    told.add(key)
    return len(told) > before
