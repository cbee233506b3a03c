"""The functions that train the members of a blend or a stack, checked."""

from __future__ import annotations

import logging
import numbers
import time
from collections.abc import Callable, Mapping

from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blend_config import member_name

Factory = Callable[[Interactions], Model]

_log = logging.getLogger(__name__)


def check_factories(owner: str, factories, split) -> None:
    """Raises InputError if these are no functions by name, or no split."""
    if not isinstance(factories, Mapping) or not factories:
        raise InputError(
            f"{owner}: factories must be a mapping of names to functions, at least one. "
            f"Received: {factories!r}"
        )
    for name, factory in factories.items():
        try:
            member_name(name)
        except ValueError as error:
            raise InputError(f"{owner}: factories: {error}. Received: {name!r}") from None
        if isinstance(factory, Model) or not callable(factory):
            raise InputError(
                f"{owner}: factories: {name!r} must be a function from training events to a "
                "trained model, as a model that is trained already may know the validation period; "
                f"pass e.g. lambda train: EASE().fit(train). Received: {type(factory).__name__}"
            )
    if not callable(getattr(split, "validation", None)):
        raise InputError(
            f"{owner}: split must be a Split, e.g. events.split('temporal'). "
            f"Received: {type(split).__name__}"
        )


def check_whole(owner: str, name: str, value, least: int) -> None:
    """Raises InputError if an argument is no whole number of `least` or more."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise InputError(
            f"{owner}: {name} must be a whole number of {least} or more. Received: {value!r}"
        )


def trained_members(
    owner: str, factories: Mapping[str, Factory], train: Interactions
) -> dict[str, Model]:
    """Returns name -> model of the factories.

    Raises:
      InputError: one returns no model, or one of other events than it was given.
    """
    members = {}
    for name, factory in factories.items():
        begin = time.perf_counter()
        try:
            members[name] = model = factory(train)
        except Exception as error:
            error.add_note(f"{owner}: while the factory of {name!r} was training")
            raise
        _log.info("%s: trained %s in %.1f s", owner, name, time.perf_counter() - begin)
        if not isinstance(model, Model) or model.spec is None:
            raise InputError(
                f"{owner}: the factory of {name!r} must return a trained model. "
                f"Received: {type(model).__name__}"
            )
        spec = model.spec
        if (spec.users, spec.n_users) != (train.users.fingerprint, len(train.users)):
            raise InputError(
                f"{owner}: the factory of {name!r} returns a model of other training events "
                "than it was given, which may include the validation period; train it on the "
                f"argument. Received: a model of {spec.n_users} users, given {len(train.users)}"
            )
    return members
