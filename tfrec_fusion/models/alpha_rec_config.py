"""Options of `AlphaRec`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

from tfrec_fusion.models.fusion_config import known_loss, known_weights


class AlphaRecConfig(BaseModel):
    """Options of `AlphaRec`; an unknown key or an invalid value raises an error.

    Attributes:
      dim: size of the user and item vectors.
      hidden: hidden units of the MLP.
      layers: hops of propagation over the training graph; 0 compares texts alone.
      temperature: divisor of the cosines in the loss; the paper uses .15 to .2.
      negatives: number of items sampled uniformly per batch and shared by its rows; None means the
        whole catalogue. The paper samples 256 for each pair.
      vectors: names of the catalogue's vectors to use, concatenated; None takes all.
      whitening_dim: whitens vectors to at most this many dimensions, fitted on training items;
        None leaves them unchanged, as the paper does, which is worse on books and movies.
      loss: `module:Class` of your own `Objective`, or the name of one; None means the paper's
        softmax, computed in blocks without storing all scores. Or several: name -> such a loss,
        see `Joint`. `compile(loss=...)` overrides it.
      loss_weights: name -> weight of a term of several, by default 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: PositiveInt = 64
    hidden: PositiveInt = 384
    layers: int = Field(default=2, ge=0)
    temperature: PositiveFloat = 0.1
    negatives: PositiveInt | None = 2048
    vectors: list[str] | None = None
    whitening_dim: PositiveInt | None = 128
    loss: str | dict[str, str] | None = None
    loss_weights: dict[str, float] | None = None

    @field_validator("loss")
    @classmethod
    def _loss(cls, loss):
        return known_loss(loss)

    @field_validator("loss_weights")
    @classmethod
    def _weights(cls, weights, info):
        return known_weights(weights, info)
