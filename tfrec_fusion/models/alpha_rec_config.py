"""What an AlphaRec is built from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

from tfrec_fusion.models.fusion_config import known_loss


class AlphaRecConfig(BaseModel):
    """Options of `AlphaRec`; an unknown key or a bad value is refused.

    Attributes:
      dim: size of the vectors that are compared.
      hidden: hidden units of the MLP.
      layers: hops of propagation over the training graph; 0 compares texts alone.
      temperature: what cosines are divided by in the loss; the paper takes .15 to .2.
      negatives: items sampled uniformly for a batch, which shares them; None takes the whole
        catalogue. The paper draws 256 for each pair.
      vectors: names of the catalogue's vectors to use, side by side; None takes all.
      whitening_dim: vectors are whitened to at most so many dimensions, fitted on training items;
        None leaves them as they are, as the paper does, which is worse on books and movies.
      loss: `module:Class` of your own `Objective`, or the name of one; None takes the softmax of
        the paper, whose scores are never held as a whole. `compile(loss=...)` goes before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: PositiveInt = 64
    hidden: PositiveInt = 384
    layers: int = Field(default=2, ge=0)
    temperature: PositiveFloat = 0.1
    negatives: PositiveInt | None = 2048
    vectors: list[str] | None = None
    whitening_dim: PositiveInt | None = 128
    loss: str | None = None

    @field_validator("loss")
    @classmethod
    def _loss(cls, loss):
        return known_loss(loss)
