"""How far a smaller export may be from float32."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ParityLimits(BaseModel):
    """What stops an export in fewer bytes; see `ParityReport` for the figures.

    Attributes:
      overlap_10, overlap_100: the least share of float32's first 10 and 100 that come back.
      ndcg_loss: the most of N@10 that may be lost, as a share of float32's.
      score_error: the most that a score may be off in the mean; None is no limit.

    Example:
      >>> limits = ParityLimits(overlap_10=0.99)  # export(..., precision="int8", limits=limits)
      >>> limits.overlap_100
      0.9
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlap_10: float = Field(default=0.95, ge=0, le=1)
    overlap_100: float = Field(default=0.9, ge=0, le=1)
    ndcg_loss: float = Field(default=0.02, ge=0, le=1)
    score_error: float | None = Field(default=None, ge=0)
