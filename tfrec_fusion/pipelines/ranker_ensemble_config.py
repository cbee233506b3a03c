"""Options of a `RankerEnsemble`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from tfrec_fusion.pipelines.blend_config import MemberName, Weight, check_weights


class RankerEnsembleConfig(BaseModel):
    """Options of a `RankerEnsemble`, with its members described for the model card.

    Attributes:
      members: member -> its class ("model") and its options ("config").
      weights: member -> weight of its logit, 0 or more.
      bias: what is added to the weighted sum.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # First, as the weights are compared with it.
    members: dict[MemberName, dict[str, Any]] = Field(min_length=1)
    weights: dict[str, Weight]
    bias: float = Field(default=0.0, allow_inf_nan=False)

    @field_validator("weights")
    @classmethod
    def _weights_are_of_members(cls, weights, info: ValidationInfo):
        check_weights(weights, info.data.get("members", weights))
        return weights
