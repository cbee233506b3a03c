"""Optimizers as configs write them: a name, or a class name and its config."""

from collections.abc import Mapping
from typing import Any

from tfrec_fusion import optimizers
from tfrec_fusion._compat import addons, keras
from tfrec_fusion.errors import InputError


def resolve(optimizer: "str | Mapping[str, Any] | keras.optimizers.Optimizer"):
    """Make the optimizer that a config describes.

    Args:
      optimizer: a name (`"adam"`, `"Addons>LazyAdam"`, `"tfrec_fusion>Name"`), a mapping with
        `class_name` and `config`, in which a learning-rate schedule is such a mapping too, or an
        optimizer, which is returned as it is. The package's own classes and those of Addons are
        imported when their names occur.

    Raises:
      InputError: the name or an argument is unknown, or the mapping is not of that form.
      ImportError: the name is one of Addons', which is not installed.

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
            "optimizer: unknown keys beside 'class_name' and 'config'; arguments belong in "
            f"'config'. Received: {extra}"
        )
    name, received = optimizer["class_name"], optimizer.get("config") or {}
    if not isinstance(received, Mapping):
        raise InputError(f"optimizer: config of {name!r} must be a mapping. Received: {received!r}")
    config = dict(received)
    _import_named(name)
    if ">" not in name:
        # Keras takes a config that does not say so for one of its older optimizers.
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
    """Register the class behind `Package>Name`, where the package is Addons or this one."""
    package, _, name = class_name.rpartition(">")
    if package == "Addons":
        addons()
    elif package == "tfrec_fusion" and name in optimizers.__all__:
        getattr(optimizers, name)
