"""Options of `SearchModel`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveInt


class SearchModelConfig(BaseModel):
    """Options of `SearchModel`; an unknown key or an invalid value raises an error.

    Attributes:
      query_dims: length of a query's vector.
      hidden: hidden units of the query tower's second term; 0 for none.
      reads_users: whether the query tower reads the user's vector.
      frozen: whether training leaves the recommender as it is. False is for batches of
        `joint_examples`.
      search_weight: weight of the searches' loss beside that of the interactions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    query_dims: PositiveInt
    hidden: NonNegativeInt = 0
    reads_users: bool = True
    frozen: bool = True
    search_weight: NonNegativeFloat = 1.0
