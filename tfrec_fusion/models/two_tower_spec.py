"""Derives the config defaults, the spec and the frozen vectors of a TwoTower from its events."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.data import Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.building import (
    check_item_features,
    check_storage,
    fitted_sides,
    frozen_vectors,
    item_numbers_of,
    vector_names,
)
from tfrec_fusion.models.towers.user_towers import USER_TOWERS
from tfrec_fusion.models.two_tower_config import TwoTowerConfig


def completed(config: TwoTowerConfig, data, initial) -> TwoTowerConfig:
    """Fills in the config's data-dependent defaults; a saved model's config already has them."""
    if not isinstance(data, Interactions):
        return config.completed(ordered=True, vectors=True)
    config = config.with_features(data)
    vectors = bool(data.catalogue.vectors) and initial is None
    return config.completed(data.timestamp is not None, vectors)


def described(data, config: TwoTowerConfig, initial) -> tuple[DataSpec, dict]:
    """Returns the spec of `data`, and name -> (values, mask) of the frozen vectors to assign."""
    if isinstance(data, DataSpec | dict):
        return DataSpec.model_validate(data), {}
    require_interactions(data, "TwoTower")
    catalogue = data.catalogue
    names = vector_names("TwoTower", catalogue, config.vectors)
    check_storage("TwoTower", config.storage, [*names, "initial"])
    check_item_features("TwoTower", config, names)
    if not (config.use_ids or names or initial is not None or config.declared.item):
        raise InputError(
            "TwoTower: use_ids=False needs vectors or features of items; no vectors are chosen or "
            "in the catalogue, and no features are declared"
        )
    for option in ("alignment", "distillation"):
        weight = getattr(config, option)
        if weight and not (config.use_ids and (names or initial is not None)):
            raise InputError(f"TwoTower: {option} needs ids and vectors. Received: {weight}")
    frozen = frozen_vectors(data, names, config.whitening_dim)
    if initial is not None:
        if initial.vectors.shape != (len(catalogue), config.dim):
            raise InputError(
                f"TwoTower: initial: vectors must have the shape [n_items, dim], "
                f"{(len(catalogue), config.dim)}. Received: {initial.vectors.shape}"
            )
        frozen["initial"] = initial.vectors, np.ones(len(catalogue), bool)
    trend = config.trend and data.timestamp is not None
    numbers = item_numbers_of("TwoTower", catalogue) if trend else {}
    weighted = initial is not None and USER_TOWERS.class_of(config.user).weighs_history
    spec = DataSpec(
        n_users=len(data.users),
        n_items=len(catalogue),
        users=data.users.fingerprint,
        items=catalogue.vocabulary.fingerprint,
        vector_dims={name: values.shape[1] for name, (values, _) in frozen.items()},
        feature_names=ItemTrend(data, numbers).names if trend else (),
        numbers=numbers,
        repeats=data.repeats,
        weighted_history=weighted,
        **fitted_sides("TwoTower", data, config.declared),
    )
    return spec, frozen
