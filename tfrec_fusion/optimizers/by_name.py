"""Optimizers from a config: a name, or a class name and its arguments."""

from collections.abc import Mapping
from typing import Any

from tfrec_fusion import optimizers
from tfrec_fusion._compat import addons, keras
from tfrec_fusion.errors import InputError


def resolve(optimizer: "str | Mapping[str, Any] | keras.optimizers.Optimizer"):
    """Builds the optimizer that a config describes.

    Args:
      optimizer: a name (`"adam"`, `"Addons>LazyAdam"`, `"tfrec_fusion>Name"`), a mapping with
        `class_name` and `config` (a learning-rate schedule inside it has the same form), or an
        optimizer, which is returned unchanged. Classes of this package and of Addons are imported
        on demand.

    Raises:
      InputError: the name or an argument is unknown, or the mapping does not have this form.
      ImportError: the name belongs to Addons, which is not installed.

    Example:
      >>> resolve({"class_name": "Adam", "config": {"epsilon": 0.5}}).epsilon
      0.5
    """
    if isinstance(optimizer, keras.optimizers.Optimizer | keras.optimizers.legacy.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        optimizer = {"class_name": optimizer, "config": {}}
    if not isinstance(optimizer, Mapping) or not isinstance(optimizer.get("class_name"), str):
        raise InputError(
            "optimizer: give a name, a mapping with 'class_name' and 'config', or a Keras "
            f"optimizer. Received: {optimizer!r}"
        )
    extra = sorted(set(optimizer) - {"class_name", "config"})
    if extra:
        raise InputError(
            "optimizer: the only keys are 'class_name' and 'config'; put arguments into 'config'. "
            f"Received: {extra}"
        )
    name, received = optimizer["class_name"], optimizer.get("config") or {}
    if not isinstance(received, Mapping):
        raise InputError(f"optimizer: config of {name!r} must be a mapping. Received: {received!r}")
    config = dict(received)
    _import_named(name)
    if ">" not in name:
        # Without this key Keras assumes one of its legacy optimizers.
        config.setdefault("is_legacy_optimizer", False)
    schedule = config.get("learning_rate")
    if isinstance(schedule, Mapping):
        _import_named(str(schedule.get("class_name")))
    try:
        return keras.optimizers.get({"class_name": name, "config": config})
    except InputError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split()).partition(" Please ensure")[0].rstrip(".") + "."
        raise InputError(f"optimizer {name!r}: {reason} Received: {dict(received)!r}") from error


def _import_named(class_name: str) -> None:
    """Imports, and so registers, the class `Package>Name` of Addons or of this package."""
    package, _, name = class_name.rpartition(">")
    if package == "Addons":
        addons()
    elif package == "tfrec_fusion" and name in optimizers.__all__:
        getattr(optimizers, name)
