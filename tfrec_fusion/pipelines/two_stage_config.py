"""Options of a `TwoStage`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class TwoStageConfig(BaseModel):
    """Options of a `TwoStage`, with its parts described for the model card.

    Attributes:
      candidates: number of items of a user that the ranker orders, the best of the retrieval model.
      retrieval_weight: what a standard deviation of the retrieval model's scores, among the
        candidates of a user, adds to a logit; 0 for the order of the ranker alone.
      members: "retrieval" and "ranker" -> its class ("model") and its options ("config").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    candidates: PositiveInt = 200
    retrieval_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    members: dict[str, dict[str, Any]]
