"""Registry of the built-in heads, and the heads of a config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.request_encoder import request_inputs
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.models.heads.binary_head import BinaryHead
from tfrec_fusion.models.heads.head import LABEL, Head
from tfrec_fusion.models.objectives.joint import check_names
from tfrec_fusion.models.towers.request_context import RENAMED
from tfrec_fusion.models.towers.user_features import PREFIX

_HERE = "tfrec_fusion.models.heads"
HEADS = KerasRegistry(
    "head",
    f"{_HERE}.head:Head",
    {
        "binary": f"{_HERE}.binary_head:BinaryHead",
        "examined": f"{_HERE}.examined_head:ExaminedHead",
        "multi_class": f"{_HERE}.multi_class_head:MultiClassHead",
        "ordinal": f"{_HERE}.ordinal_head:OrdinalHead",
        "regression": f"{_HERE}.regression_head:RegressionHead",
        "zero_inflated_log_normal": (
            f"{_HERE}.zero_inflated_log_normal_head:ZeroInflatedLogNormalHead"
        ),
    },
)
_TAKEN = ("score", "probability", "user_id", "item_id", "history", "history_age")

Described = Mapping[str, Mapping[str, Any]]
"""Name of a head -> its `kind`, as in the registry, and its options."""


def described_heads(heads: Any) -> dict[str, dict[str, Any]]:
    """Validates the option `heads` of a ranker, and returns its serializable description.

    Raises:
      InputError: an invalid name, kind or option.
    """
    if not isinstance(heads, Mapping):
        raise InputError(f"must be a dict from names to heads. Received: {heads!r}")
    check_names(heads, "head", where="")
    taken = [name for name in heads if name in _TAKEN]
    if taken:
        raise InputError(
            f"exports have {taken[0]!r} already; choose another name. Received: {taken[0]!r}"
        )
    found = {}
    for name, value in heads.items():
        try:
            found[name] = _described(value)
            head = _made(name, found[name])
        except InputError as error:
            raise InputError(f"{name!r}: {error}") from None
        given, others = head.given, [one for one in found if one != name]
        if given is not None and not (
            given in others and issubclass(HEADS.class_of(found[given]["kind"]), BinaryHead)
        ):
            raise InputError(
                f"{name!r}: given must name a binary head before it, of {others}. "
                f"Received: {given!r}"
            )
    return found


def with_labels(heads: Described, data: Interactions) -> dict[str, dict[str, Any]]:
    """Returns the description with the label of each head, and checks it against events.

    A head without one takes the label of its own name. If there is none it takes "label", which is
    left to one head.

    Raises:
      InputError: the events have no such label, none that is known, one that the head cannot
        learn, or one above 0 where the label that it needs is 0.
    """
    given = {name: _made(name, described).label for name, described in heads.items()}
    unnamed = [name for name, label in given.items() if label is None and name not in data.labels]
    if len(unnamed) == 1 and LABEL not in given.values():
        given[unnamed[0]] = LABEL
    found = {}
    for name, described in heads.items():
        label = given[name] or name
        if label != LABEL and label not in data.labels:
            others = f", or give {' or '.join(unnamed)} label={LABEL!r}" if unnamed[1:] else ""
            raise InputError(
                f"Ranker: heads: {name!r}: the events have no label {label!r}; name its column in "
                f"Interactions.from_frame(..., labels=[{label!r}]) (in a run's config data.labels)"
                f"{others}. Received: {[LABEL, *data.labels]}"
            )
        found[name] = {**described, "label": label}
        _check_labels(name, _made(name, found[name]), data)
    _check_given(make_heads(found), data)
    return found


def _check_given(heads: Mapping[str, Head], data: Interactions) -> None:
    """Raises InputError for labels above 0 where the one that they need is 0."""
    read: dict[str, np.ndarray] = {}
    for name, head in heads.items():
        read[name] = _labels(head, data)
        if head.given is None:
            continue
        without = read[head.given] <= 0
        wrong = np.flatnonzero(without & (read[name] > 0))
        read[name] = np.where(without, 0, read[name])
        if wrong.size:
            user, item = data.user[wrong[0]], data.catalogue.vocabulary.ids[data.item[wrong[0]]]
            whose = f" of user {data.users.ids[user]!r}" if user >= 0 else ""
            raise InputError(
                f"Ranker: heads: {name!r}: label {head.label!r} is above 0 in {wrong.size} of "
                f"{len(data)} events where that of the head {head.given!r}, which it needs, is 0; "
                f"correct the labels, or leave out given. Received: an event{whose} and item "
                f"{item!r}"
            )


def _labels(head: Head, data: Interactions) -> np.ndarray:
    """The labels `[n]` of a head, NaN where missing; 1 without a column `label`."""
    values = data.label if head.label == LABEL else data.labels[head.label or LABEL]
    return np.ones(len(data), np.float32) if values is None else values


def _check_labels(name: str, head: Head, data: Interactions) -> None:
    values = _labels(head, data)
    known = values[~np.isnan(values)]
    where = f"Ranker: heads: {name!r}: label {head.label!r}"
    if not len(known):
        raise InputError(f"{where} is missing in all events. Received: {len(data)} events")
    try:
        head.check_others(data.labels)
    except ValueError as error:
        raise InputError(f"Ranker: heads: {name!r}: {error}") from None
    if head.loss is not None:  # another loss may take other labels
        return
    try:
        head.check_labels(known)
    except ValueError as error:
        raise InputError(f"{where} {error}") from None


def check_inputs(heads: Described | None, spec: DataSpec) -> None:
    """Raises InputError if a head has the name of an input of the ranker's exports."""
    inputs = () if spec.user_side is None else request_inputs(spec.user_side, PREFIX)
    if spec.context_side is not None:
        inputs += request_inputs(spec.context_side, renamed=RENAMED)
    taken = [name for name in heads or () if name in {one.name for one in inputs}]
    if taken:
        raise InputError(
            f"Ranker: heads: requests of an export give a feature as {taken[0]!r}; choose another "
            f"name for the head. Received: {taken[0]!r}"
        )


def make_heads(heads: Described | None) -> dict[str, Head]:
    """Builds the heads of a config; without any the binary one of the events' own label."""
    if heads is None:
        return {LABEL: BinaryHead(LABEL, name="logit")}
    return {name: _made(name, described) for name, described in heads.items()}


def checked_ranking(rank_by: Any, heads: Described) -> str | dict[str, float]:
    """Validates the option `rank_by` of a ranker.

    Raises:
      ValueError: it names no head, or a weight is not a finite number, or all are 0.
    """
    weights = {rank_by: 1.0} if isinstance(rank_by, str) else rank_by
    if not (isinstance(weights, Mapping) and weights and weights.keys() <= heads.keys()):
        raise ValueError(
            "must be a head, or a dict from heads to weights; the heads are " + ", ".join(heads)
        )
    finite = (isinstance(one, int | float) and math.isfinite(one) for one in weights.values())
    if not all(finite) or not any(weights.values()):
        raise ValueError("weights must be finite numbers, at least one of them not 0")
    return rank_by


def _described(value: Any) -> dict[str, Any]:
    """The mapping of a head that is given by name, class, object or mapping."""
    if isinstance(value, Mapping) and "kind" in value:
        return {**value, "kind": HEADS.described(value["kind"])}
    if isinstance(value, Mapping) and "class_name" not in value:
        raise InputError(
            f"must have a key 'kind', one of {', '.join(HEADS)}. Received: {dict(value)!r}"
        )
    return {"kind": HEADS.described(value)}


def _made(name: str, described: Mapping[str, Any]) -> Head:
    options = {key: value for key, value in described.items() if key not in ("kind", "label")}
    given = {"name": f"head_{name}"}
    if described.get("label") is not None:
        given["label"] = described["label"]
    return HEADS.make(described["kind"], given, options)
