"""Sizes and vocabularies that a model derives from its training data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tfrec_fusion.errors import InputError
from tfrec_fusion.features.side import Side


class DataSpec(BaseModel):
    """Sizes and fingerprints of the data that a model was built for; it stores no other data.

    Attributes:
      n_users, n_items: sizes of the vocabularies.
      users, items: SHA-256 fingerprints of the vocabularies.
      vector_dims: name -> columns of the frozen vectors.
      feature_names: names of the item features that the model reads, in order: trends, then
        `numbers`; empty if there are none.
      numbers: numeric column of the catalogue -> "number", or "flag" for booleans; matched by name.
      item_side, user_side, context_side, event_side: the declared features of items, users, the
        context of requests and the events of histories, fitted; None without any.
      label_rates: whether it reads the rates of labels of users and items, see `LabelRates`.
      repeats: which events of a user-item pair count, see `Interactions`.
      weighted_history: whether items have a fixed weight in the history pools.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_users: int
    n_items: int
    users: str
    items: str
    vector_dims: dict[str, int]
    feature_names: tuple[str, ...] = ()
    numbers: dict[str, Literal["number", "flag"]] = Field(default_factory=dict)
    item_side: Side | None = None
    user_side: Side | None = None
    context_side: Side | None = None
    event_side: Side | None = None
    label_rates: bool = False
    repeats: Literal["first", "all"] = "first"
    weighted_history: bool = False

    def check_vocabularies(self, items: str, users: str | None = None) -> None:
        """Raises InputError if fingerprints are not those of the model; None is not compared."""
        for name, mine, theirs in (("users", self.users, users), ("items", self.items, items)):
            if theirs is not None and mine != theirs:
                raise InputError(
                    f"{name}: the model was built for other {name} (fingerprint {mine[:12]}, "
                    f"received {theirs[:12]}); encode the events with the training vocabulary"
                )
