"""Options of a `Stack`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Rate = Annotated[float, Field(ge=0, lt=1)]


class StackConfig(BaseModel):
    """Options of a `Stack`, with its members described for the model card.

    Attributes:
      candidates: number of items of a user that the head ranks, the best by the sum of the members'
        reciprocal ranks.
      k: constant of the reciprocal ranks.
      hidden: units of the layers of the head's networks.
      dropout: dropout rate in [0, 1) of these layers.
      networks: number of networks of the head, whose logits are averaged: one alone depends on its
        seed.
      cold: the member whose order the unseen items keep; None for the order of the stack.
      members: member -> its class ("model") and its options ("config").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    candidates: PositiveInt = 200
    k: PositiveFloat = Field(10.0, allow_inf_nan=False)
    hidden: tuple[PositiveInt, ...] = (64, 32)
    dropout: Rate = 0.2
    networks: PositiveInt = 5
    cold: str | None = None
    members: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _cold_is_a_member(self) -> StackConfig:
        if self.cold is not None and self.cold not in self.members:
            raise ValueError(
                f"cold must name a member, one of {', '.join(self.members)}; it is {self.cold!r}"
            )
        return self
