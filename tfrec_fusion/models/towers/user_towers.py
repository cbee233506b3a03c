"""Registry of the built-in user towers."""

from __future__ import annotations

from tfrec_fusion.keras_registry import KerasRegistry
from tfrec_fusion.models.towers.user_tower import UserTower

POOLED = ("history", "id", "both")
"""Names of `PooledHistory`, which the options of the model itself configure."""
_HERE = "tfrec_fusion.models.towers"
USER_TOWERS = KerasRegistry(
    "user",
    f"{_HERE}.user_tower:UserTower",
    {
        **dict.fromkeys(POOLED, f"{_HERE}.pooled_history:PooledHistory"),
        "decayed_history": f"{_HERE}.decayed_history:DecayedHistory",
        "gru4rec": f"{_HERE}.gru4rec:GRU4Rec",
        "caser": f"{_HERE}.caser:Caser",
        "sasrec": f"{_HERE}.sasrec:SASRec",
        "esasrec": f"{_HERE}.esasrec:ESASRec",
        "comirec": f"{_HERE}.comirec:ComiRec",
        "hstu": f"{_HERE}.hstu:HSTU",
    },
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
    if config.user in POOLED:
        options = {
            "reads": config.user,
            "decay_days": config.decay_days,
            "linear": config.user_layer,
            "id_dropout": config.id_dropout,
        }
    return USER_TOWERS.make(config.user, given, options)
