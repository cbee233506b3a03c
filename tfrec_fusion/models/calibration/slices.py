"""Slices of the pairs of users and items that have a calibration of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.context import CONTEXT_FIELDS
from tfrec_fusion.features.kinds.category import Category
from tfrec_fusion.features.side import Side
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.towers.user_features import USER_FIELDS

if TYPE_CHECKING:
    from tfrec_fusion.models.ranker import Ranker

WARM, POPULARITY = "warm", "popularity"
"""Tell warm items from cold ones, and warm items by their share of the events so far."""
_LOG_SHARE = "log_share"
_SHARES = {1: ("below a tenth of the mean", 0.1), 2: ("below the mean", 1.0)}
_SIDES = ("item", "user", "context")


def slice_choices(spec: DataSpec) -> dict[str, tuple[str, int, dict[int, str]]]:
    """Returns what may tell slices apart: name -> side, category column, and code -> slice.

    These are `WARM`, `POPULARITY` if the model knows trends, and the declared categories of one
    value, as `item.colour` and, if no other side has one of this name, as `colour`. Values that
    were rare or unseen in training are one slice; rows without a value are in none.
    """
    found = {WARM: ("", 0, {0: "cold", 1: "warm"})}
    if _LOG_SHARE in spec.feature_names:
        names = {code: name for code, (name, _) in _SHARES.items()}
        column = spec.feature_names.index(_LOG_SHARE)
        found[POPULARITY] = "", column, {0: "cold", **names, len(names) + 1: "above the mean"}
    short: dict[str, list[str]] = {}
    for kind in _SIDES:
        side: Side | None = getattr(spec, f"{kind}_side")
        first = column = 0
        for one in () if side is None else side.features:
            if isinstance(one, Category) and one.vocabulary:
                names = {first + 1 + row: text for row, text in enumerate(one.vocabulary)}
                found[f"{kind}.{one.name}"] = kind, column, {first: "other", **names}
                short.setdefault(one.name, []).append(f"{kind}.{one.name}")
            first, column = first + one.n_values, column + one.width
    once = {name: found[full[0]] for name, full in short.items() if len(full) == 1}
    return once | found


def check_by(spec: DataSpec, by: str | None) -> dict[int, str]:
    """Returns code -> name of the slices by a feature; none for None.

    Raises:
      InputError: the model has no such feature.
    """
    if by is None:
        return {}
    choices = slice_choices(spec)
    if by not in choices:
        raise InputError(
            f"calibrate: by must be one of {', '.join(choices)}: slices of items, or a category "
            f"that the model's features declare. Received: {by!r}"
        )
    return choices[by][2]


def slice_codes(model: Ranker, by: str | None, batch: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
    """Returns the code of each pair's slice int32, -1 without a value, in the shape of `item`.

    Args:
      model: gives the stored features of items and users.
      by: see `check_by`; None returns None.
      batch: as of the ranker; encoded features of users in it replace the stored ones.
    """
    if by is None:
        return None
    items = batch["item"]
    if by == WARM:
        return tf.cast(batch["is_warm"], tf.int32)
    kind, column, _ = slice_choices(model.spec)[by]
    if by == POPULARITY:
        share = batch["item_features"][..., column]
        above = [tf.cast(share >= math.log(least), tf.int32) for _, least in _SHARES.values()]
        return tf.where(batch["is_warm"], 1 + tf.add_n(above), 0)
    if kind == "item":
        return model.tower.features.encoded(items)[0][..., column]
    if kind == "context":
        codes = batch[CONTEXT_FIELDS[0]][..., column]
    elif USER_FIELDS[0] in batch:
        codes = batch[USER_FIELDS[0]][..., column]
    else:
        users = tf.where(batch["user"] < model.spec.n_users, batch["user"], -1)
        codes = model.features.user_side.encoded(users)[0][..., column]
    rows = tf.shape(codes)[0]
    # Items are flat or of rows; users and contexts are of rows, or one for all.
    wide = tf.reshape(codes, tf.concat([[rows], tf.ones([tf.rank(items) - 1], tf.int32)], 0))
    return tf.broadcast_to(wide, tf.shape(items))
