"""Limits on how far a lower-precision export may differ from float32."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ParityLimits(BaseModel):
    """Limits beyond which a lower-precision export fails; see `ParityReport` for the figures.

    Attributes:
      overlap_10, overlap_100: least mean share of float32's top 10 and top 100 that must be kept.
      ndcg_loss: largest loss of NDCG@10, as a share of float32's.
      score_error: largest mean absolute score error; None sets no limit.

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
