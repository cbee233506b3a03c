"""Options of `TwoTower`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from tfrec_fusion.models.fusion_config import (
    FusionConfig,
    known_loss,
    known_part,
    known_weights,
    taken_options,
)


class TwoTowerConfig(FusionConfig):
    """Options of `TwoTower`; an unknown key or an invalid value raises an error.

    Attributes:
      dim: size of the item vector.
      fusion: how to fuse an item's id and vectors: a key of `tfrec_fusion.layers.FUSIONS`,
        `module:Class` or the registered name of your own `Fusion`, or in Python the class or an
        object. None means "null_space" if there are timestamps, ids and whitened vectors and no
        features are fused, else "sum".
      fusion_options: further arguments of the fusion's class, e.g. `{"bound": None}` for "delta".
      modality_dropout: probability that training hides an input of an item (its id, or one of its
        vectors); at least one input always remains.
      storage: dtype of the frozen vectors: "float32", "bfloat16", "float16" or "int8"; one for all,
        or name -> dtype.
      mixed_precision: whether layers compute in bfloat16; weights and scores stay float32.
      features: declared features of items, users, the context and past events: a `Features`, its
        mapping, or "infer".
      item_features: "added" adds the vector of an item's declared features to the fused vector;
        "fused" makes it one more input of the fusion, beside the id and the vectors.
      feature_dim: size of the embedding of a declared feature's category.
      context_dropout: probability that training hides the declared context features of a row but
        those of its time, so that the model learns to score requests that give none.
      event_dropout: probability that training hides the declared features of all events of a row's
        history, so that the model learns to score histories of which only the items are known.
      use_ids: whether items have trained ids; False is the text-only model.
      vectors: names of the catalogue's vectors to use; None takes all, [] is the ID-only model.
      user: the user tower: "history", "id" or "both" for `PooledHistory` reading the history, the
        user id, or both; a `SequenceTower`: "decayed_history", "gru4rec", "caser", "sasrec",
        "esasrec", "hstu" or, with several vectors, "comirec"; `module:Class` or the registered
        name of your own `UserTower`; or in Python the class or an object.
      user_options: further arguments of the class, but for `PooledHistory`.
      id_dropout: probability that training hides an item's (and a user's) id.
      id_l2: weight of half the squared norm of the batch's id vectors in the loss; None means 5e-4
        with timestamps, else 1e-4.
      whitening_dim: whitens vectors to at most this many dimensions, fitted on training items;
        None leaves them unchanged.
      trend: whether scores depend on the items' recency and trend; off without timestamps.
      trend_dim: number of columns of the user vector that multiply the item's trend vector.
      trend_hidden: hidden units of the trend network.
      decay_days: time constant of the recent history pool in days; for the built-in tower only.
      user_layer: whether a linear map turns the history pools into the user vector; without it the
        vector is their mean, which works better on autoencoder examples. None means a map if there
        are timestamps.
      loss: a name of `OBJECTIVES` or `module:Class` of your own `Objective`; None means
        "normalised_squared" for autoencoder examples, which it needs, else "softmax". Or several:
        name -> such a name, or "alignment" or "distillation"; see `Joint`.
        `compile(loss=...)` overrides it.
      loss_weights: name -> weight of a term of several, by default 1.
      history_dropout: probability that training hides a user's whole history, so that the model
        learns to score new users; by default .2 with features of users, else 0.
      queue: number of item vectors of earlier batches that are further negatives in training on
        pairs; see `CandidateQueue`.
      alignment: weight of `InfoNCE` between the ids of a batch's targets and an MLP of their
        content (RLMRec-Con, Ren et al., WWW 2024: .01); see `alignment_loss`.
      distillation: weight of the loss that distils the scores into the scores with item ids hidden,
        for cold items; see `distillation_loss`.
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
    loss: str | dict[str, str] | None = None
    loss_weights: dict[str, float] | None = None
    history_dropout: float | None = Field(default=None, ge=0, lt=1)
    queue: NonNegativeInt = 0
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
        from tfrec_fusion.models.towers.user_towers import POOLED, USER_TOWERS

        if options and info.data.get("user") in POOLED:
            raise ValueError(
                "are not for the history pools, which user_layer, decay_days and id_dropout "
                "configure"
            )
        return taken_options(USER_TOWERS, options, info, ["dim", "n_users", "n_items"])

    @field_validator("loss")
    @classmethod
    def _loss(cls, loss):
        return known_loss(loss)

    @field_validator("loss_weights")
    @classmethod
    def _weights(cls, weights, info):
        return known_weights(weights, info)

    def completed(self, ordered: bool, vectors: bool) -> TwoTowerConfig:
        """Returns the config with data-dependent defaults filled in.

        Args:
          ordered: whether the events have timestamps.
          vectors: whether the catalogue has vectors and no `initial` vectors are given.
        """
        whole = ordered and vectors and self.use_ids and self.vectors != [] and self.whitening_dim
        fused = self.item_features == "fused"
        values = {
            "fusion": "null_space" if whole and not fused else "sum",
            "user_layer": ordered,
            "id_l2": 5e-4 if ordered else 1e-4,
            "history_dropout": 0.2 if self.declared.user else 0.0,
        }
        return self.model_copy(
            update={name: value for name, value in values.items() if getattr(self, name) is None}
        )
