"""What a TwoTower is built from."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from tfrec_fusion.models.fusion_config import FusionConfig, known_loss, known_part, taken_options


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
      user: the user tower: `PooledHistory` by what it reads, "history", "id" or "both"; or
        `module:Class` or the registered name of your own `UserTower`, or in Python the class or an
        object.
      user_options: further arguments of your own class.
      id_dropout: probability that an item's (and a user's) id is hidden in a training step.
      id_l2: weight of half the squared norm of the batch's id vectors in the loss; None takes 5e-4
        where there are times, else 1e-4.
      whitening_dim: vectors are whitened to at most so many dimensions, fitted on training items;
        None leaves them as they are.
      trend: whether scores see the items' recency and trend; needs timestamps, and is off without.
      trend_dim: size of the part of a user's vector that is matched against an item's trend.
      trend_hidden: hidden units of the trend network.
      decay_days: time constant of the recent history pool, of `PooledHistory` by name.
      user_layer: whether a linear map lies between the history pools and the user's vector; without
        one it is their mean, which autoencoder examples are better off with. None takes a map where
        there are times.
      loss: "softmax" or "normalised_squared" (`NormalisedSquared`, which needs
        `examples="autoencoder"`), or `module:Class` of your own `Objective`; None takes the second
        for such examples and else the first. `compile(loss=...)` goes before it.
      alignment: weight of `InfoNCE` between the ids of a batch's targets and an MLP of their
        content (RLMRec-Con, Ren et al., WWW 2024: .01); see `alignment_loss`.
      distillation: weight of `Distillation` of the scores to those with the items' ids hidden, for
        cold items; see `distillation_loss`.
    """

    dim: PositiveInt = 128
    fusion: str | dict[str, Any] | None = None
    use_ids: bool = True
    vectors: list[str] | None = None
    user: str | dict[str, Any] = "history"
    user_options: dict[str, Any] = Field(default={})
    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    id_l2: float | None = Field(default=None, ge=0)
    whitening_dim: PositiveInt | None = 128
    trend: bool = True
    trend_dim: PositiveInt = 8
    trend_hidden: PositiveInt = 32
    decay_days: PositiveFloat = 30.0
    user_layer: bool | None = None
    loss: str | None = None
    alignment: float = Field(default=0.0, ge=0)
    distillation: float = Field(default=0.0, ge=0)

    @field_validator("user", mode="before")
    @classmethod
    def _known_user(cls, user):
        from tfrec_fusion.models.towers.user_towers import USER_TOWERS

        return known_part(USER_TOWERS, user)

    @field_validator("user_options")
    @classmethod
    def _taken_by_user(cls, options, info):
        from tfrec_fusion.models.towers.user_towers import USER_TOWERS

        if options and info.data.get("user") in ("history", "id", "both"):
            raise ValueError(
                "are those of your own tower; the built-in one has user_layer and others"
            )
        return taken_options(USER_TOWERS, options, info, ["dim", "n_users", "n_items"])

    @field_validator("loss")
    @classmethod
    def _loss(cls, loss):
        return known_loss(loss)

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
