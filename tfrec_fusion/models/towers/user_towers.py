"""Registry of the built-in user towers."""

from __future__ import annotations

from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.models.towers.user_tower import UserTower

_HERE = "tfrec_fusion.models.towers"
USER_TOWERS = KerasRegistry(
    "user",
    f"{_HERE}.user_tower:UserTower",
    dict.fromkeys(("history", "id", "both"), f"{_HERE}.pooled_history:PooledHistory"),
)


def make_user_tower(config, n_users: int, n_items: int, weighted: bool) -> UserTower:
    """Builds the user tower of a `TwoTowerConfig`.

    Args:
      config: the model's config.
      n_users, n_items: numbers of users and items.
      weighted: whether history items have weights.
    """
    given = {"dim": config.dim, "n_users": n_users, "n_items": n_items, "name": "user_tower"}
    if USER_TOWERS.class_of(config.user).weighs_history:
        given["weighted"] = weighted
    options = config.user_options
    if isinstance(config.user, str) and config.user in USER_TOWERS:
        options = {
            "reads": config.user,
            "decay_days": config.decay_days,
            "linear": config.user_layer,
            "id_dropout": config.id_dropout,
        }
    return USER_TOWERS.make(config.user, given, options)
