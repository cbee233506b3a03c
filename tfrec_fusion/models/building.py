"""Functions that models share to build themselves from options and data, and to check both."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Catalogue, Interactions, Vocabulary
from tfrec_fusion.embeddings import Whitening
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.context import CONTEXT_FIELDS, TABLE, context_frame
from tfrec_fusion.features.declared import Features
from tfrec_fusion.features.history_events import (
    EVENT_FIELDS,
    event_columns,
    fitted_events,
)
from tfrec_fusion.features.item_frame import item_frame
from tfrec_fusion.features.item_trend import item_numbers
from tfrec_fusion.features.request_encoder import request_inputs
from tfrec_fusion.features.side import Side, key_path
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.fusion_config import FusionConfig
from tfrec_fusion.models.towers.item_tower import FEATURES
from tfrec_fusion.told_once import is_new

_log = logging.getLogger(__name__)
_Config = TypeVar("_Config", bound=BaseModel)


def checked(model: str, config: type[_Config], options: dict) -> _Config:
    """Builds the config from `options`; an InputError names the model, the key and the value."""
    try:
        return config(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join([model, *filter(None, [".".join(map(str, key_path(first["loc"])))])])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {message}. Received: {first['input']!r}") from None


@contextmanager
def precision_of(config) -> Iterator[None]:
    """Sets the Keras policy of layers built inside, from the config's `mixed_precision`.

    Raises:
      InputError: the global policy computes in float16, whose gradients vanish without loss
        scaling.
    """
    before = keras.mixed_precision.global_policy()
    if before.compute_dtype == "float16" and not config.mixed_precision:
        raise InputError(
            "models: the global Keras policy computes in float16, which needs loss scaling and is "
            "not supported; pass mixed_precision=True for bfloat16, or set another policy. "
            f"Received: {before.name!r}"
        )
    if config.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def vector_names(model: str, catalogue: Catalogue, names: list[str] | None) -> list[str]:
    """Returns the chosen names of the catalogue's vectors; all if `names` is None."""
    if names is None:
        return list(catalogue.vectors)
    unknown = [name for name in names if name not in catalogue.vectors]
    if unknown:
        raise InputError(
            f"{model}: vectors: the catalogue has no {unknown[0]!r}. "
            f"It has: {list(catalogue.vectors)}"
        )
    return names


def check_storage(model: str, storage: str | dict[str, str], names: list[str]) -> None:
    """Raises InputError if `storage` names vectors that the model does not have."""
    unknown = [name for name in storage if name not in names] if isinstance(storage, dict) else []
    if unknown:
        raise InputError(
            f"{model}: storage: {len(unknown)} names are not vectors of the model; the vectors are "
            f"{names}. Received: {unknown[0]!r}"
        )


def check_item_features(model: str, config: FusionConfig, names: list[str]) -> None:
    """Raises InputError if features of items are to be fused and there are none to fuse.

    Also if a vector of the model has the name that the features have in the fusion.
    """
    if config.item_features == "added":
        return
    if not config.declared.item:
        raise InputError(
            f"{model}: item_features='fused' needs features of items; declare some by features=, "
            f"or leave it out. Received: features={config.declared.model_dump(mode='json')}"
        )
    if FEATURES in names:
        raise InputError(
            f"{model}: a vector named {FEATURES!r} cannot be fused beside declared features, which "
            f"have this name in the fusion; rename it in the catalogue. Received: {names}"
        )


def frozen_vectors(
    data: Interactions, names: list[str], whitening_dim: int | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns name -> vectors `[n_items, d]` float32 and mask `[n_items]` bool.

    With a `whitening_dim` it whitens them to at most this many dimensions, fitted on the items of
    `data` that have a vector, and scales them to length 1.
    """
    trained = data.item_counts() > 0
    frozen = {}
    for name in names:
        aligned = data.catalogue.vectors[name]
        values = np.asarray(aligned.values, np.float32)
        if whitening_dim is not None:
            fitted = trained & aligned.mask
            dim = min(whitening_dim, values.shape[1], max(int(fitted.sum()) - 1, 1))
            whitening = Whitening(dim, unit=True).fit(values, fitted)
            values = whitening.transform(values, aligned.mask)
        frozen[name] = values, aligned.mask
    return frozen


def fitted_sides(model: str, data: Interactions, features: Features) -> dict[str, Any]:
    """Fits the declared features on the items, users, contexts and histories of training events.

    Returns:
      "item_side", "user_side", "context_side" and "event_side" of a `DataSpec`; None for one
      without features.

    Raises:
      InputError: a column is missing or unfit, or the events have no users' table.
    """
    item_side = user_side = context_side = event_side = None
    if features.item:
        rows = np.flatnonzero(data.item_counts() > 0)
        frame = item_frame(data.catalogue, features.item)
        item_side = Side.fit("items", features.item, frame.iloc[rows])
    if features.user:
        if data.user_table is None:
            raise InputError(
                f"{model}: features: features of users need a table of users; pass users= to "
                f"Interactions. Received: {[one.name for one in features.user]}"
            )
        active = data.users.ids[np.unique(data.user[data.user >= 0])]
        known = active[data.user_table.vocabulary.rows(active) >= 0]
        if not len(known):
            raise InputError(
                f"{model}: features: none of the {len(active)} users with events is in the table "
                f"of users, which has {len(data.user_table)} rows; compare their ids. Received: "
                f"{active[:3].tolist()} and {data.user_table.vocabulary.ids[:3].tolist()}"
            )
        user_side = Side.fit("users", features.user, data.user_table.rows_of(known))
        # Values of users without events would fail only in an export.
        user_side.encode(data.user_table.rows_of(data.user_table.vocabulary.ids))
    if features.context:
        context_side = Side.fit(TABLE, features.context, context_frame(data))
        request_inputs(context_side)  # names that exports cannot have are refused before training
    if features.event:
        event_side = fitted_events(features.event, data)
    return {
        "item_side": item_side,
        "user_side": user_side,
        "context_side": context_side,
        "event_side": event_side,
    }


def check_reads_events(model: str, config, reads_history: bool) -> None:
    """Raises InputError for features of events of a model that reads no histories."""
    if config.declared.event and not reads_history:
        raise InputError(
            f"{model}: features: features of events are those of histories, which user='id' does "
            "not read; pass user='both', or leave them out. "
            f"Received: {[one.name for one in config.declared.event]}"
        )


def feature_sizes(side: Side, config) -> dict[str, Any]:
    """Returns the arguments of `SideFeatures` for a side, without `n_rows` and `dim`."""
    return side.sizes | {"embedding_dim": config.feature_dim}


def side_values(data: Interactions, spec: DataSpec) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the encoded features of all items and users, to assign to `SideFeatures`."""
    found = {}
    if spec.item_side is not None:
        frame = item_frame(data.catalogue, spec.item_side.features)
        found["item_side"] = spec.item_side.encode(frame)
    if spec.user_side is not None and data.user_table is not None:
        found["user_side"] = spec.user_side.encode(data.user_table.rows_of(data.users.ids))
    return found


def check_sides(model: str, spec: DataSpec, batch, make: str) -> None:
    """Raises InputError if a batch lacks features of the context or of events, or has others.

    Args:
      make: the call that makes batches, e.g. "events.batches(512".
    """
    for name, side, what, fields in (
        ("context_side", spec.context_side, "the context", CONTEXT_FIELDS),
        ("event_side", spec.event_side, "events", EVENT_FIELDS),
    ):
        if side is None:
            continue
        advice = f"make the batches by {make}, {name}=model.spec.{name})"
        for field, width in zip(fields, (side.width, side.n_numbers), strict=True):
            if field not in batch:
                raise InputError(
                    f"{model}: the batches have no {field!r}, which a model with features of "
                    f"{what} reads; {advice}. Received: {sorted(batch)}"
                )
            if width_of(batch[field]) not in (None, width):
                raise InputError(
                    f"{model}: {field}: the model reads {width} columns; {advice}. "
                    f"Received: {width_of(batch[field])}"
                )


def item_numbers_of(model: str, catalogue: Catalogue) -> dict[str, Literal["number", "flag"]]:
    """Returns the catalogue's numeric columns and their kinds, as in `DataSpec.numbers`.

    Logs the columns unless the user chose them; see `told_once`.
    """
    used, left_out = catalogue.numeric_columns, catalogue.id_columns
    told = catalogue.numbers_inferred and (used or left_out)
    if told and is_new(model, "numeric columns", *used, *left_out):
        _log.warning(
            "%s: uses these numeric item columns as features: %s%s; choose others with "
            "Catalogue(..., numbers=[...]) or, in a run's config, data.numbers",
            model,
            ", ".join(used) or "none",
            f" and ignores these, which look like ids: {', '.join(left_out)}" if left_out else "",
        )
    return {name: _kind(catalogue, name) for name in used}


def fitted_numbers(data: Interactions) -> np.ndarray:
    """Returns the numbers `[n, columns]` of the training items, to fit `Standardise` on."""
    return item_numbers(data.catalogue)[data.item_counts() > 0]


def _kind(catalogue: Catalogue, name: str) -> Literal["number", "flag"]:
    return "flag" if pd.api.types.is_bool_dtype(catalogue.frame[name]) else "number"


def require_first(model: str, data: Interactions) -> None:
    """Raises InputError for events whose repeated events count, for models that cannot use them."""
    if data.repeats != "first":
        raise InputError(
            f"{model}: repeated events are read by TwoTower and classic models alone; pass "
            "events.with_repeats('first') (in a run's config data.repeats: first). "
            "Received: repeats='all'"
        )


def require_all(model: str, data: Interactions) -> None:
    """Raises InputError for events of which only the first of a user-item pair counts."""
    if data.repeats != "all":
        raise InputError(
            f"{model}: repeated events must count; pass events.with_repeats('all'), or read them "
            f"with repeats='all'. Received: repeats={data.repeats!r}"
        )


def check_repeats(spec: DataSpec, events: Interactions) -> None:
    """Raises InputError if other events of a user-item pair count than in training."""
    if events.repeats != spec.repeats:
        raise InputError(
            f"interactions: the model was trained with repeats={spec.repeats!r}; pass "
            f"events.with_repeats({spec.repeats!r}) (in a run's config data.repeats). "
            f"Received: repeats={events.repeats!r}"
        )


def check_features(spec: DataSpec, events: Interactions) -> None:
    """Raises InputError if `events` lack columns that the features of `spec` need.

    Columns are matched by name, in any order; extra columns are ignored. Also if other events of a
    user-item pair count than in training.
    """
    check_repeats(spec, events)
    catalogue = events.catalogue
    missing = [name for name in spec.numbers if name not in catalogue.frame]
    if missing:
        raise InputError(
            f"items: {len(missing)} of the model's {len(spec.numbers)} numeric columns are "
            f"missing: {', '.join(missing[:3])}; give the items the columns of training. "
            f"Received: {list(catalogue.frame.columns)}"
        )
    if spec.user_side is not None:
        table = events.user_table
        lacking = [c for c in spec.user_side.columns if table is None or c not in table.columns]
        if lacking:
            raise InputError(
                f"users: the model reads {len(lacking)} columns of users that the events lack: "
                f"{', '.join(lacking[:3])}; pass users= to Interactions, with the columns of "
                f"training. Received: {'no table' if table is None else table.columns}"
            )
    if spec.event_side is not None:
        given = event_columns(events)
        lacking = [column for column in spec.event_side.columns if column not in given]
        if lacking:
            raise InputError(
                f"interactions: the model reads {len(lacking)} columns of past events that the "
                f"events lack: {', '.join(lacking[:3])}; give them the columns and vectors of "
                f"training. Received: {given}"
            )
    for name, kind in spec.numbers.items():
        catalogue.numeric(name)
        if kind != _kind(catalogue, name):
            raise InputError(
                f"items: column {name!r} was a {kind} in training; convert it to that kind. "
                f"Received: {catalogue.frame[name].dtype}"
            )
    if len(spec.feature_names) > len(spec.numbers) and events.timestamp is None:
        raise InputError(
            "interactions: the model reads the items' trends, which need a column 'timestamp'. "
            "Received: no times"
        )


def width_of(features) -> int | None:
    """Returns the last dimension; None if unknown, as for values distributed over devices."""
    return getattr(features, "shape", [None])[-1]


def check_width(model: str, spec: DataSpec, features) -> None:
    """Raises InputError if a batch has another number of item features than `spec`."""
    width = width_of(features)
    if width is not None and width != len(spec.feature_names):
        raise InputError(
            f"{model}: item_features: the model reads {len(spec.feature_names)} columns, "
            f"{list(spec.feature_names)}, and the batch has {width}; make the batches from items "
            f"with the same numeric columns, or pass numbers={list(spec.numbers)} to the examples. "
            f"Received: {width}"
        )


def check_vocabularies(spec: DataSpec, events: Interactions, *, reads_user_ids: bool) -> None:
    """Raises InputError if the vocabularies of `events` differ from those of `spec`.

    The user vocabulary matters only to a model that reads user ids. If it reads features of users
    too, further users may follow: their ids are unknown to it.
    """
    their_users = events.users.fingerprint
    if reads_user_ids and spec.user_side is not None and len(events.users) > spec.n_users:
        their_users = Vocabulary(events.users.ids[: spec.n_users]).fingerprint
    items = events.catalogue.vocabulary.fingerprint
    spec.check_vocabularies(items, their_users if reads_user_ids else None)
