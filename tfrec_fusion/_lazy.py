"""Lazy import of public names on first use (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def attach(
    package: str, names: Mapping[str, str] | None = None, submodules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Gives a package lazy public names, so that importing the package is fast.

    Args:
      package: `__name__` of the package.
      names: public name -> the submodule that defines it, e.g. `{"TwoTower": "two_tower"}`.
      submodules: names of public submodules.

    Returns:
      `__getattr__`, `__dir__` and `__all__` for the package's `__init__.py`.

    Raises:
      ValueError: a public name equals the name of the file that defines it. Importing that file
        would then replace the public name by the module, depending on the order of imports.

    Example:
      >>> __getattr__, __dir__, __all__ = attach(__name__, {"TwoTower": "two_tower"})
    """
    names = dict(names or {})
    public = set(submodules)
    clashes = sorted((set(names) & set(names.values())) | (set(names) & public))
    if clashes:
        raise ValueError(
            f"{package}: a public name must differ from its file's name, or importing the file "
            f"hides it; rename the file. Received: {clashes}"
        )

    def __getattr__(name: str) -> Any:
        if name in names:
            value = getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        elif name in public:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    everything = sorted([*names, *public])

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *everything})

    return __getattr__, __dir__, everything
