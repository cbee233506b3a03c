"""The section `model` of a run's config, one class per kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    field_validator,
    model_validator,
)

from tfrec_fusion.models import RankerConfig, TwoTowerConfig
from tfrec_fusion.models.classic import (
    EASEConfig,
    IALSConfig,
    ItemKNNConfig,
    LightGCNConfig,
    Options,
    RecentPopularityConfig,
    RP3BetaConfig,
    SparseEASEConfig,
    SpectralConfig,
    TextMeanConfig,
    UserKNNConfig,
)
from tfrec_fusion.pipelines import BlendConfig
from tfrec_fusion.registry import Registry

OWN = "own"
AUTO = "auto"
"""The kind that validation chooses."""
BLEND, TWO_STAGE = "blend", "two_stage"
COMPOSED = (BLEND, TWO_STAGE)
"""The kinds that are made of other models."""
MODELS = Registry(
    "model.kind",
    {
        "two_tower": "tfrec_fusion.models:TwoTower",
        "ranker": "tfrec_fusion.models:Ranker",
        "ease": "tfrec_fusion.models.classic:EASE",
        "ials": "tfrec_fusion.models.classic:IALS",
        "item_knn": "tfrec_fusion.models.classic:ItemKNN",
        "light_gcn": "tfrec_fusion.models.classic:LightGCN",
        "personal_frequency": "tfrec_fusion.models.classic:PersonalFrequency",
        "popularity": "tfrec_fusion.models.classic:Popularity",
        "recent_popularity": "tfrec_fusion.models.classic:RecentPopularity",
        "rp3beta": "tfrec_fusion.models.classic:RP3Beta",
        "sparse_ease": "tfrec_fusion.models.classic:SparseEASE",
        "spectral": "tfrec_fusion.models.classic:Spectral",
        "text_mean": "tfrec_fusion.models.classic:TextMean",
        "user_knn": "tfrec_fusion.models.classic:UserKNN",
    },
)
"""The built-in kinds of models; `module:Class` names others."""


class TwoTowerSection(TwoTowerConfig):
    """`kind: two_tower` and the options of `TwoTowerConfig`."""

    kind: Literal["two_tower"] = "two_tower"


class RankerSection(RankerConfig):
    """`kind: ranker` and the options of `RankerConfig`."""

    kind: Literal["ranker"] = "ranker"


class EASESection(EASEConfig):
    """`kind: ease` and the options of `EASEConfig`."""

    kind: Literal["ease"] = "ease"


class IALSSection(IALSConfig):
    """`kind: ials` and the options of `IALSConfig`."""

    kind: Literal["ials"] = "ials"


class ItemKNNSection(ItemKNNConfig):
    """`kind: item_knn` and the options of `ItemKNNConfig`."""

    kind: Literal["item_knn"] = "item_knn"


class LightGCNSection(LightGCNConfig):
    """`kind: light_gcn` and the options of `LightGCNConfig`."""

    kind: Literal["light_gcn"] = "light_gcn"


class PersonalFrequencySection(Options):
    """`kind: personal_frequency`, without options."""

    kind: Literal["personal_frequency"] = "personal_frequency"


class PopularitySection(Options):
    """`kind: popularity`, without options."""

    kind: Literal["popularity"] = "popularity"


class RecentPopularitySection(RecentPopularityConfig):
    """`kind: recent_popularity` and the options of `RecentPopularityConfig`."""

    kind: Literal["recent_popularity"] = "recent_popularity"


class RP3BetaSection(RP3BetaConfig):
    """`kind: rp3beta` and the options of `RP3BetaConfig`."""

    kind: Literal["rp3beta"] = "rp3beta"


class SparseEASESection(SparseEASEConfig):
    """`kind: sparse_ease` and the options of `SparseEASEConfig`."""

    kind: Literal["sparse_ease"] = "sparse_ease"


class SpectralModelSection(SpectralConfig):
    """`kind: spectral` and the options of `SpectralConfig`."""

    kind: Literal["spectral"] = "spectral"


class TextMeanSection(TextMeanConfig):
    """`kind: text_mean` and the options of `TextMeanConfig`."""

    kind: Literal["text_mean"] = "text_mean"


class UserKNNSection(UserKNNConfig):
    """`kind: user_knn` and the options of `UserKNNConfig`."""

    kind: Literal["user_knn"] = "user_knn"


class AutoSection(BaseModel):
    """`kind: auto`: validation chooses among `candidates`, see `tfrec_fusion.auto`.

    Attributes:
      candidates: name -> keys of a run's config, from the simplest to the most complex; None takes
        those that suit the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["auto"] = "auto"
    candidates: dict[str, dict[str, Any]] | None = None


class BlendSection(BlendConfig):
    """`kind: blend` and the options of `tfrec_fusion.pipelines.Blend`.

    Attributes:
      members: name -> keys of a run's config, but for those of the data: `model`, `examples`,
        `epochs` and others of training.
      weights: by default 1 each.
    """

    kind: Literal["blend"] = "blend"

    @model_validator(mode="before")
    @classmethod
    def _weights_of_one(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("weights") is None:
            members = values.get("members")
            weights = dict.fromkeys(members, 1.0) if isinstance(members, Mapping) else {}
            return {**values, "weights": weights}
        return values


class TwoStageSection(BaseModel):
    """`kind: two_stage` and the options of `tfrec_fusion.pipelines.TwoStage`.

    Attributes:
      retrieval, ranker: keys of a run's config, but for those of the data, of the model that
        proposes candidates and of the ranker: `model`, `examples`, `epochs` and others of training.
      candidates, retrieval_weight: see `TwoStageConfig`.
      hard_share, hard_cuts: of the ranker's negatives, those that are drawn from the candidates of
        the retrieval model; see `ranking_examples`. 0 draws none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["two_stage"] = "two_stage"
    retrieval: dict[str, Any]
    ranker: dict[str, Any] = {"model": {"kind": "ranker"}}
    candidates: PositiveInt = 200
    retrieval_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    hard_share: float = Field(0.5, ge=0, le=1)
    hard_cuts: int = Field(8, ge=2)

    @field_validator("ranker", mode="before")
    @classmethod
    def _is_a_ranker(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        model = values.get("model", {})
        if isinstance(model, Mapping):
            model = {"kind": "ranker", **model}
        return {**values, "model": model}

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        """Both parts, in the order of their training."""
        return {"retrieval": self.retrieval, "ranker": self.ranker}


class OwnSection(BaseModel):
    """`kind: module:Class` of your own `ClassicModel`, and the options of its `Config`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = Field(pattern=r"^[\w.]+:[\w.]+$")


SECTIONS: dict[str, type[BaseModel]] = {
    "two_tower": TwoTowerSection,
    "ranker": RankerSection,
    "ease": EASESection,
    "ials": IALSSection,
    "item_knn": ItemKNNSection,
    "light_gcn": LightGCNSection,
    "personal_frequency": PersonalFrequencySection,
    "popularity": PopularitySection,
    "recent_popularity": RecentPopularitySection,
    "rp3beta": RP3BetaSection,
    "sparse_ease": SparseEASESection,
    "spectral": SpectralModelSection,
    "text_mean": TextMeanSection,
    "user_knn": UserKNNSection,
    AUTO: AutoSection,
    BLEND: BlendSection,
    TWO_STAGE: TwoStageSection,
    OWN: OwnSection,
}


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return OWN if isinstance(kind, str) and ":" in kind else kind


ModelSection = Annotated[
    Annotated[TwoTowerSection, Tag("two_tower")]
    | Annotated[RankerSection, Tag("ranker")]
    | Annotated[EASESection, Tag("ease")]
    | Annotated[IALSSection, Tag("ials")]
    | Annotated[ItemKNNSection, Tag("item_knn")]
    | Annotated[LightGCNSection, Tag("light_gcn")]
    | Annotated[PersonalFrequencySection, Tag("personal_frequency")]
    | Annotated[PopularitySection, Tag("popularity")]
    | Annotated[RecentPopularitySection, Tag("recent_popularity")]
    | Annotated[RP3BetaSection, Tag("rp3beta")]
    | Annotated[SparseEASESection, Tag("sparse_ease")]
    | Annotated[SpectralModelSection, Tag("spectral")]
    | Annotated[TextMeanSection, Tag("text_mean")]
    | Annotated[UserKNNSection, Tag("user_knn")]
    | Annotated[AutoSection, Tag(AUTO)]
    | Annotated[BlendSection, Tag(BLEND)]
    | Annotated[TwoStageSection, Tag(TWO_STAGE)]
    | Annotated[OwnSection, Tag(OWN)],
    Discriminator(_tag),
]
"""Any of these sections; pydantic chooses by `kind`."""

BY_GRADIENT = ("two_tower", "ranker")
"""The kinds that are trained on examples in epochs; the others are fitted at once."""
