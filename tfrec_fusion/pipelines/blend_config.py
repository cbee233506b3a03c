"""Options of a `Blend`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationInfo,
    field_validator,
)

COLD = "cold"
"""Name of the share of the order of unseen items."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Names of other shares and of columns that explanations have.
_TAKEN = (
    *("id", "features", "request", "context", "bias", "rules", COLD),
    *("user_id", "item_id", "score", "nearest_items", "nearest_cosines"),
)


def member_name(name: Any) -> str:
    """Returns the name of a member; raises ValueError if none can have it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
        raise ValueError(
            "a name must begin with a letter, followed by letters, digits or _, and be none of "
            f"{', '.join(_TAKEN)}"
        )
    return name


MemberName = Annotated[str, AfterValidator(member_name)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NewUsers(BaseModel):
    """Other weights for users with short histories.

    Attributes:
      events: the longest history, in events, that gets these weights.
      weights: member -> weight, one for each member.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: int = Field(ge=0)
    weights: dict[str, Weight]


class BlendConfig(BaseModel):
    """Options of a `Blend`, with its members described for the model card.

    Attributes:
      members: member -> its class ("model") and its options ("config").
      how: "rank", "zscore" or "weighted"; see `Blend`.
      weights: member -> weight, 0 or more.
      k: constant of the reciprocal ranks; a larger one flattens the top of the lists.
      cold: the member whose order the unseen items keep; None for the order of the blend.
      new_users: other weights for users with short histories; None for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # First, as the others are compared with it.
    members: dict[MemberName, dict[str, Any]] = Field(min_length=1)
    how: Literal["rank", "zscore", "weighted"] = "rank"
    weights: dict[str, Weight]
    k: PositiveFloat = Field(10.0, allow_inf_nan=False)
    cold: str | None = None
    new_users: NewUsers | None = None

    @field_validator("weights")
    @classmethod
    def _weights_are_of_members(cls, weights, info: ValidationInfo):
        check_weights(weights, info.data.get("members", weights))
        return weights

    @field_validator("new_users")
    @classmethod
    def _other_weights_too(cls, new_users, info: ValidationInfo):
        if new_users is not None:
            check_weights(
                new_users.weights, info.data.get("members", new_users.weights), "the weights "
            )
        return new_users

    @field_validator("cold")
    @classmethod
    def _cold_is_a_member(cls, cold, info: ValidationInfo):
        members = info.data.get("members", {cold})  # absent if they are wrong themselves
        if cold is not None and cold not in members:
            raise ValueError(f"must name a member, one of {', '.join(members)}")
        return cold


def check_weights(weights: Mapping[str, float], members: Mapping[str, Any], of: str = "") -> None:
    """Raises ValueError unless there is a weight for each member, at least one of them above 0."""
    missing = [member for member in members if member not in weights]
    unknown = [member for member in weights if member not in members]
    if missing or unknown:
        problem = f"lacks {missing[0]!r}" if missing else f"has no member {unknown[0]!r}"
        raise ValueError(
            f"{of}must have one number for each member, {', '.join(members)}; it {problem}"
        )
    if not any(weights.values()):
        raise ValueError(f"{of}must have a number above 0, as all of them are 0")
