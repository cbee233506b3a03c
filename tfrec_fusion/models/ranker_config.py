"""What a Ranker is built from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tfrec_fusion.models.fusion_config import FusionConfig


class RankerConfig(FusionConfig):
    """Options of `Ranker`; an unknown key or a bad value is refused.

    Attributes:
      dim: size of the item vector, and of the user's.
      fusion: how an item's id and vectors become one: a key of `tfrec_fusion.layers.FUSIONS`,
        `module:Class` or the registered name of your own `Fusion`, or in Python the class or an
        object.
      fusion_options: further arguments of the fusion's class, e.g. `{"bound": None}` for "delta".
      modality_dropout: probability that an input of an item (its id, or one of its vectors) is
        hidden in a training step, never all that it has.
      storage: dtype of the frozen vectors, "float32", "bfloat16", "float16" or "int8": one, or
        name -> dtype.
      mixed_precision: whether layers compute in bfloat16; weights and scores are float32.
      use_ids: whether items have trained ids; False is the text-only model.
      vectors: names of the catalogue's vectors to use; None takes all, [] is the ID-only model.
      user: what is known of a user: "history", "id" or "both".
      categories: names of the catalogue's categorical (string) columns to use.
      context: names of the interactions' context columns to use, numeric or string.
      trend: whether the items' recency and trend are features; the catalogue's numbers always are.
      category_dim: size of the vector of a category.
      id_dropout: probability that an item's (and a user's) id is hidden in a training step.
      id_l2: weight of half the squared norm of the batch's id vectors in the loss.
      whitening_dim: vectors are whitened to at most so many dimensions, fitted on training items;
        None leaves them as they are.
      decay_days: time constant of the recent history.
      cross_layers: cross layers; with 0 there are none.
      hidden: units of the deep layers.
      dropout: probability that a deep unit is hidden in a training step.
    """

    dim: PositiveInt = 64
    use_ids: bool = True
    vectors: list[str] | None = None
    user: Literal["history", "id", "both"] = "history"
    categories: list[str] = Field(default=[])
    context: list[str] = Field(default=[])
    trend: bool = True
    category_dim: PositiveInt = 8
    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    id_l2: float = Field(default=1e-6, ge=0)
    whitening_dim: PositiveInt | None = 128
    decay_days: PositiveFloat = 30.0
    cross_layers: NonNegativeInt = 2
    hidden: list[PositiveInt] = Field(default=[128, 64])
    dropout: float = Field(default=0.0, ge=0, lt=1)
