"""What a TwoTower is built from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tfrec_fusion.models.fusion_config import FusionConfig


class TwoTowerConfig(FusionConfig):
    """Options of `TwoTower`; an unknown key or a bad value is refused.

    Attributes:
      dim: size of the item vector.
      fusion: how an item's id and vectors become one: a key of `tfrec_fusion.layers.FUSIONS`,
        `module:Class` or the registered name of your own `Fusion`, or in Python the class or an
        object. None takes "null_space" where
        there are times, ids and whitened vectors, else "sum".
      fusion_options: further arguments of the fusion's class, e.g. `{"bound": None}` for "delta".
      modality_dropout: probability that an input of an item (its id, or one of its vectors) is
        hidden in a training step, never all that it has.
      storage: dtype of the frozen vectors, "float32", "bfloat16", "float16" or "int8": one, or
        name -> dtype.
      mixed_precision: whether layers compute in bfloat16; weights and scores are float32.
      use_ids: whether items have trained ids; False is the text-only model.
      vectors: names of the catalogue's vectors to use; None takes all, [] is the ID-only model.
      user: what the user tower reads: "history", "id" or "both".
      id_dropout: probability that an item's (and a user's) id is hidden in a training step.
      id_l2: weight of half the squared norm of the batch's id vectors in the loss; None takes 5e-4
        where there are times, else 1e-4.
      whitening_dim: vectors are whitened to at most so many dimensions, fitted on training items;
        None leaves them as they are.
      trend: whether scores see the items' recency and trend; needs timestamps, and is off without.
      trend_dim: size of the part of a user's vector that is matched against an item's trend.
      trend_hidden: hidden units of the trend network.
      decay_days: time constant of the recent history pool.
      user_layer: whether a linear map lies between the history pools and the user's vector; without
        one it is their mean, which autoencoder examples are better off with. None takes a map where
        there are times.
      loss: "softmax" or "normalised_squared" (`NormalisedSquared`, which needs
        `examples="autoencoder"`); None takes the second for such examples and else the first.
      alignment: weight of `InfoNCE` between the ids of a batch's targets and an MLP of their
        content (RLMRec-Con, Ren et al., WWW 2024: .01); see `alignment_loss`.
      distillation: weight of `Distillation` of the scores to those with the items' ids hidden, for
        cold items; see `distillation_loss`.
    """

    dim: PositiveInt = 128
    fusion: str | dict[str, Any] | None = None
    use_ids: bool = True
    vectors: list[str] | None = None
    user: Literal["history", "id", "both"] = "history"
    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    id_l2: float | None = Field(default=None, ge=0)
    whitening_dim: PositiveInt | None = 128
    trend: bool = True
    trend_dim: PositiveInt = 8
    trend_hidden: PositiveInt = 32
    decay_days: PositiveFloat = 30.0
    user_layer: bool | None = None
    loss: Literal["softmax", "normalised_squared"] | None = None
    alignment: float = Field(default=0.0, ge=0)
    distillation: float = Field(default=0.0, ge=0)

    def completed(self, ordered: bool, vectors: bool) -> TwoTowerConfig:
        """The config with what is open filled in.

        Args:
          ordered: whether the data has an order in time.
          vectors: whether whitened vectors are all the content that items have.
        """
        whole = ordered and vectors and self.use_ids and self.vectors != [] and self.whitening_dim
        values = {
            "fusion": "null_space" if whole else "sum",
            "user_layer": ordered,
            "id_l2": 5e-4 if ordered else 1e-4,
        }
        return self.model_copy(
            update={name: value for name, value in values.items() if getattr(self, name) is None}
        )
