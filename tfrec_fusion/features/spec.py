"""The shapes a model takes from its data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DataSpec(BaseModel):
    """Sizes and fingerprints of the data a model was built for; all that is kept of it.

    Attributes:
      n_users, n_items: rows of the vocabularies.
      users, items: their SHA-256 fingerprints.
      vector_dims: name -> columns of the frozen vectors.
      feature_names: of the item features that the model reads, in order: trends, then `numbers`;
        empty without any.
      numbers: numeric column of the catalogue -> "number", or "flag" for booleans; a model finds
        them by name in the events that it meets.
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
    weighted_history: bool = False
