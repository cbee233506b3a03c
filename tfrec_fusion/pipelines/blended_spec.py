"""The spec of a blend, from those of its members."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.request_encoder import request_inputs
from tfrec_fusion.features.side import Side
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.model import Model

_log = logging.getLogger(__name__)


def blended_spec(members: Mapping[str, Model], owner: str = "Blend") -> DataSpec:
    """Returns one spec for all members; `owner` names the model in errors and log lines.

    Vectors are named `member.vectors`. The users are those of the members that read user ids, or
    else of the first. A log line tells of members that were trained with different users; nothing
    tells which of the same users' events a member has seen.

    Raises:
      InputError: the members were trained on different catalogues or users, count repeated events
        differently, or read a feature of requests in different ways.
    """
    specs = {name: member.spec for name, member in members.items()}
    _same(
        owner, specs, "items", "were trained on different catalogues; train all on the same items"
    )
    _same(
        owner,
        specs,
        "repeats",
        "count repeated events differently; train all with the same repeats",
    )
    reading = {name: specs[name] for name, member in members.items() if member.reads_user_ids}
    _same(owner, reading, "users", "read the ids of different users; train them on the same events")
    users = {name: spec.users[:12] for name, spec in specs.items()}
    if len(set(users.values())) > 1:
        _log.warning(
            "%s: the members were trained on events of different users, %s; if one of them saw "
            "test events, an evaluation is too good",
            owner,
            ", ".join(f"{name} {users[name]}" for name in users),
        )
    one = next(iter((reading or specs).values()))
    numbers: dict = {}
    for spec in specs.values():
        numbers |= spec.numbers
    features = (feature for spec in specs.values() for feature in spec.feature_names)
    return DataSpec(
        n_users=one.n_users,
        n_items=one.n_items,
        users=one.users,
        items=one.items,
        vector_dims={
            f"{name}.{key}": dim
            for name, spec in specs.items()
            for key, dim in spec.vector_dims.items()
        },
        feature_names=tuple(dict.fromkeys(features)),
        numbers=numbers,
        item_side=_joined(specs.values(), "item_side"),
        user_side=_requested(owner, specs.values(), "user_side"),
        context_side=_requested(owner, specs.values(), "context_side"),
        label_rates=any(spec.label_rates for spec in specs.values()),
        repeats=one.repeats,
    )


def _same(owner: str, specs: Mapping[str, DataSpec], field: str, problem: str) -> None:
    values = {name: getattr(spec, field) for name, spec in specs.items()}
    if len(set(values.values())) > 1:
        received = ", ".join(f"{name} {str(value)[:12]}" for name, value in values.items())
        raise InputError(f"{owner}: the members {problem}. Received: {received}")


def _joined(specs: Iterable[DataSpec], field: str) -> Side | None:
    """All features of a side that some member reads."""
    known = [side for spec in specs if (side := getattr(spec, field)) is not None]
    if not known:
        return None
    features = dict.fromkeys(feature for side in known for feature in side.features)
    return Side(table=known[0].table, features=tuple(features))


def _requested(owner: str, specs: Iterable[DataSpec], field: str) -> Side | None:
    """The same of a side that requests give, each of whose columns all members read alike."""
    specs = list(specs)
    joined = _joined(specs, field)
    if joined is None:
        return None
    known = [side for spec in specs if (side := getattr(spec, field)) is not None]
    names = {tensor.name for tensor in request_inputs(joined)}
    own = {tensor.name for side in known for tensor in request_inputs(side)}
    if names != own:
        raise InputError(
            f"{owner}: the members read a column of the {joined.table} in different ways, e.g. as "
            "texts and as numbers; declare the same features for all. "
            f"Received: {', '.join(sorted(names ^ own))}"
        )
    return joined
