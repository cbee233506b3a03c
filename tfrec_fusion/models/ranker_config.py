"""Options of `Ranker`."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from tfrec_fusion.models.fusion_config import (
    FusionConfig,
    checked_part,
    known_part,
    taken_options,
    without_value,
)


class RankerConfig(FusionConfig):
    """Options of `Ranker`; an unknown key or an invalid value raises an error.

    Attributes:
      dim: size of the item vector and of the user vector.
      fusion: how to fuse an item's id and vectors: a key of `tfrec_fusion.layers.FUSIONS`,
        `module:Class` or the registered name of your own `Fusion`, or in Python the class or an
        object.
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
      user: what the user vector is made from: "history", "id" or "both".
      trend: whether the items' recency and trend are features; the catalogue's numbers always are.
      label_rates: whether the shares of positive labels of the user and of the item are features,
        see `LabelRates`; for events with labels. Give `ranking_examples` label_rates=True as well.
      id_dropout: probability that training hides an item's (and a user's) id.
      id_l2: weight of half the squared norm of the batch's id vectors in the loss.
      whitening_dim: whitens vectors to at most this many dimensions, fitted on training items;
        None leaves them unchanged.
      decay_days: time constant of the recent history pool, in days.
      backbone: the network over the features: a key of
        `tfrec_fusion.models.BACKBONES`, `module:Class` or the registered name of your own
        `Backbone`, or in Python the class or an object.
      backbone_options: further constructor arguments of its class; of "dcn_v2" without the next
        three.
      cross_layers: number of cross layers of "dcn_v2"; 0 for none.
      hidden: units of the deep layers of "dcn_v2".
      dropout: dropout rate of these deep layers.
      loss: the name of a Keras loss or of an `Objective`, or `module:Class` of your own; None
        means cross entropy. `compile(loss=...)` overrides it. Several heads have losses of their
        own.
      heads: name -> what to predict: a key of `tfrec_fusion.models.HEADS`, or a mapping with it as
        `kind` and the options of its class, such as `label` and `weight`; or `module:Class` or the
        registered name of your own `Head`, or in Python the class or an object. None is one
        binary head for the events' `label`.
      rank_by: the head whose score ranks items, or name -> weight of predictions, whose sum does;
        None is the first head.
      distillation: weight of the loss against a teacher's logits, beside the loss of the labels;
        the batches of `distillation_examples` have the logits. 0 is without a teacher.
      temperature: of the distillation; a larger one compares small differences of the teacher's
        probabilities too.
      adversarial: training adds the loss of the same batch with its fused item vectors moved by a
        step of this norm for each row, in the direction that raises the loss most (Miyato et al.,
        ICLR 2017); 0 for none. A step takes about twice the time.
      loss_weighting: how losses of several heads are added: "fixed" by the weights of the heads;
        "uncertainty" also divides each by a trained variance (Kendall et al., CVPR 2018).
    """

    dim: PositiveInt = 64
    use_ids: bool = True
    vectors: list[str] | None = None
    user: Literal["history", "id", "both"] = "history"
    trend: bool = True
    label_rates: bool = False
    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    id_l2: float = Field(default=1e-6, ge=0)
    whitening_dim: PositiveInt | None = 128
    decay_days: PositiveFloat = 30.0
    backbone: str | dict[str, Any] = "dcn_v2"
    backbone_options: dict[str, Any] = Field(default={})
    cross_layers: NonNegativeInt = 2
    hidden: list[PositiveInt] = Field(default=[128, 64])
    dropout: float = Field(default=0.0, ge=0, lt=1)
    heads: dict[str, dict[str, Any]] | None = None
    rank_by: str | dict[str, float] | None = None
    loss_weighting: Literal["fixed", "uncertainty"] = "fixed"
    loss: str | None = None
    distillation: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    temperature: PositiveFloat = Field(default=1.0, allow_inf_nan=False)
    adversarial: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("heads", mode="before")
    @classmethod
    def _known_heads(cls, heads):
        from tfrec_fusion.models.heads.registry import described_heads

        with without_value("heads"):
            return None if heads is None else described_heads(heads)

    @field_validator("rank_by", mode="before")
    @classmethod
    def _of_the_heads(cls, rank_by, info):
        from tfrec_fusion.models.heads.registry import checked_ranking

        if rank_by is None or "heads" not in info.data:
            return rank_by
        if info.data["heads"] is None:
            raise ValueError("chooses among heads; set heads as well")
        return checked_ranking(rank_by, info.data["heads"])

    @field_validator("loss_weighting")
    @classmethod
    def _of_several_heads(cls, loss_weighting, info):
        one = "heads" in info.data and len(info.data["heads"] or {}) < 2
        if one and loss_weighting != "fixed":
            raise ValueError("weighs the losses of several heads; set heads as well")
        return loss_weighting

    @field_validator("loss")
    @classmethod
    def _of_one_head(cls, loss, info):
        if loss is not None and len(info.data.get("heads") or {}) > 1:
            raise ValueError("is for one head; of several heads each has a loss of its own")
        return loss

    @field_validator("temperature")
    @classmethod
    def _of_a_teacher(cls, temperature, info):
        if temperature != 1 and not info.data.get("distillation", 1):
            raise ValueError("is that of a distillation; set distillation as well")
        return temperature

    def with_labels(self, data: Any) -> Self:
        """Returns the config with the label of each head, after a check of the events' labels."""
        from tfrec_fusion.models.heads.registry import with_labels

        if self.heads is None:
            return self
        return self.model_copy(update={"heads": with_labels(self.heads, data)})

    @field_validator("backbone", mode="before")
    @classmethod
    def _known_backbone(cls, backbone):
        from tfrec_fusion.models.backbones.backbones import BACKBONES

        return known_part(BACKBONES, backbone)

    @field_validator("backbone_options")
    @classmethod
    def _taken_by_backbone(cls, options, info):
        from tfrec_fusion.models.backbones.backbones import BACKBONES, DCN_OPTIONS, GIVEN

        backbone = info.data.get("backbone")
        own = [name for name in DCN_OPTIONS if name in options]
        if own and backbone == "dcn_v2":
            raise ValueError(f"{own[0]} of dcn_v2 is an option of the model; set it there")
        options = taken_options(BACKBONES, options, info, GIVEN)
        if options and backbone in BACKBONES:
            checked_part(BACKBONES, backbone, options)
        return options

    @field_validator("cross_layers", "hidden", "dropout")
    @classmethod
    def _of_dcn_v2(cls, value, info):
        field = cls.model_fields[info.field_name]
        if info.data.get("backbone", "dcn_v2") != "dcn_v2" and value != field.default:
            raise ValueError("is only for backbone 'dcn_v2'; leave it out")
        return value
