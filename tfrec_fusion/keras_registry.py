"""Registries of Keras layers that a config selects by name, by `module:Class`, or as objects."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.registry import Registry, load


class KerasRegistry(Registry):
    """Registry of one kind of layer (fusions, user towers, backbones) that a config can select.

    A config holds a string or a mapping. A string is a built-in name, the `module:Class` of a
    custom class, or a name registered in Keras ("shop>MyFusion"). A mapping is an object serialized
    by `keras.saving.serialize_keras_object`.

    Args:
      kind: the kind of layer, for error messages, e.g. "fusion".
      base: `module:Class` of the common base class.
      entries: built-in name -> `module:Class`.

    Example:
      >>> parts = KerasRegistry("fusion", "tfrec_fusion.layers:Fusion",
      ...                       {"sum": "tfrec_fusion.layers:SumFusion"})
      >>> parts.make("sum", {"dim": 2}).dim
      2
    """

    def __init__(self, kind: str, base: str, entries: Mapping[str, str]):
        super().__init__(kind, entries)
        self._base = base

    @property
    def base(self) -> type:
        """The common base class."""
        return load(self._base)

    def described(self, value: Any) -> str | dict[str, Any]:
        """Returns the config value for `value`: a class becomes a name, an object a mapping.

        Strings and mappings stay unchanged.

        Raises:
          InputError: `value` is none of these, the class cannot be imported by name, or the
            object's `get_config` lacks an argument of its constructor.
        """
        base = self.base
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, type) and issubclass(value, base):
            name = keras.saving.get_registered_name(value)
            if name == value.__name__:
                name = f"{value.__module__}:{value.__qualname__}"
            if "<locals>" in name:
                raise InputError(
                    f"a class defined inside a function must be registered with "
                    f"keras.saving.register_keras_serializable(). Received: {name}"
                )
            return name
        if isinstance(value, base):
            saved = keras.saving.serialize_keras_object(value)
            missing = [name for name in _parameters(type(value)) if name not in saved["config"]]
            if missing:
                raise InputError(
                    f"get_config of {type(value).__name__} lacks the constructor's "
                    f"{missing[0]!r}, so the model could not be saved; add it. "
                    f"Received: {sorted(saved['config'])}"
                )
            kept = ("module", "class_name", "config", "registered_name")
            return {name: saved[name] for name in kept}
        raise InputError(
            f"must be one of {', '.join(self)}, module:Class of your own, or a {base.__name__}. "
            f"Received: {value!r}"
        )

    def class_of(self, value: str | Mapping[str, Any]) -> type:
        """Returns the class of a config value.

        Raises:
          InputError: the class is not found, or is not a subclass of the base class.
        """
        base = self.base
        if isinstance(value, Mapping):
            found = _saved_class(value, base)
        elif value in self or (":" in value and ">" not in value):
            found = self.resolve(value)
        else:
            found = keras.saving.get_registered_object(value)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise InputError(
                f"must be one of {', '.join(self)}, module:Class of your own, or the registered "
                f"name of a {base.__name__} whose module is imported, e.g. 'shop>My{base.__name__}'"
                f". Received: {value!r}"
            )
        return found

    def options_of(self, value: str, given: Collection[str]) -> list[str]:
        """Returns the constructor arguments of a named class, except those in `given`."""
        taken = {"name", *given}
        return [name for name in _parameters(self.class_of(value)) if name not in taken]

    def check_options(
        self,
        value: str | Mapping[str, Any],
        options: Mapping[str, Any],
        given: Collection[str],
    ) -> None:
        """Raises InputError if the class does not take one of the `options`."""
        if not options:
            return
        if isinstance(value, Mapping):
            raise InputError(
                f"a serialized {self.kind} already contains its options; leave out "
                f"{self.kind}_options. Received: {sorted(options)}"
            )
        names = self.options_of(value, given)
        unknown = [name for name in options if name not in names]
        if unknown:
            raise InputError(
                f"{self.kind} {value!r} takes {', '.join(names) or 'no options'}. "
                f"Received: {unknown[0]!r}"
            )

    def make(
        self,
        value: str | Mapping[str, Any],
        given: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Builds the layer.

        Args:
          value: the config value.
          given: arguments set by the model, such as sizes; a serialized object must have the same
            values or None.
          options: further constructor arguments of a named class.

        Raises:
          InputError: an unknown class, an unknown option or an invalid value, or a serialized
            object with other sizes.
        """
        options = dict(options or {})
        self.check_options(value, options, given)
        found = self.class_of(value)
        if isinstance(value, str):
            try:
                return found(**given, **options)
            except (TypeError, ValueError) as error:
                said = " ".join(str(error).split())
                raise InputError(f"{self.kind}_options: {said}") from error
        config = dict(value["config"])
        for name, own in given.items():
            if name != "name" and config.get(name) not in (None, own):
                raise InputError(
                    f"{self.kind}: must be a serialized {self.base.__name__} of {name} {own}. "
                    f"Received: {config[name]!r}"
                )
        try:
            return found.from_config({**config, **given})
        except (TypeError, ValueError, KeyError) as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(f"{self.kind}: cannot be built from its config ({said})") from error


def _parameters(part: type) -> list[str]:
    """Returns the names of the constructor's arguments, without *args and **kwargs."""
    if part.__init__ is keras.layers.Layer.__init__:
        return []
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = list(inspect.signature(part.__init__).parameters.values())[1:]
    return [p.name for p in parameters if p.kind not in variable]


def _saved_class(value: Mapping[str, Any], base: type) -> Any:
    if not {"class_name", "config"} <= set(value):
        raise InputError(f"must be a serialized {base.__name__}. Received: {dict(value)!r}")
    for name in (value.get("registered_name"), value["class_name"]):
        found = keras.saving.get_registered_object(name) if name else None
        if found is not None:
            return found
    try:
        return load(f"{value.get('module')}:{value['class_name']}")
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"cannot be built: no {value['class_name']} is registered or in {value.get('module')}; "
            f"import its module first. Received: {dict(value)!r}"
        ) from error
