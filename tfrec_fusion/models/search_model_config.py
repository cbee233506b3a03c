"""Options of `SearchModel`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt


class SearchModelConfig(BaseModel):
    """Options of `SearchModel`; an unknown key or an invalid value raises an error.

    Attributes:
      vectors: the catalogue's vectors of the items' texts by the encoder of the queries, which the
        query tower compares queries with; None for the recommender's item vectors alone.
      query_dims: length of a query's vector; that of `vectors` if there are some.
      hidden: hidden units of the query tower; 0 for none.
      reads_users: whether the query tower reads the user's vector, beside the `user_weight` of the
        export. Its share is learned too large from searches whose purchases the recommender was
        trained on.
      user_dropout: probability that training hides the user of a search from a tower that reads
        users, so that it learns what to find for nobody.
      frozen: whether training leaves the recommender as it is. False is for batches of
        `joint_examples`.
      search_weight: weight of the searches' loss beside that of the interactions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    vectors: str | None = None
    query_dims: PositiveInt
    hidden: NonNegativeInt = 0
    reads_users: bool = False
    user_dropout: float = Field(default=0.2, ge=0, lt=1)
    frozen: bool = True
    search_weight: NonNegativeFloat = 1.0
